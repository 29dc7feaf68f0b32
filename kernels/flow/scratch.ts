import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import type { Chunks, Cut } from "./pass-parts.js";
import { ROWS, TILE } from "./pass-parts.js";
import type { FlowShape } from "./problem.js";

/** What passes hand to each other; a scratch slot each. */
export type Scratch = Readonly<Record<keyof ReturnType<typeof headBytes>, BindingSource>>;

/** Scratch beyond this is not taken for the sake of more heads at once. */
const ENOUGH_BYTES = 2 ** 27;

/** Bytes of one head, by what they hold. */
function headBytes({ headDim, valueDim, causal }: FlowShape, queries: Chunks, keys: Chunks) {
  const [dim4, value4] = [Math.ceil(headDim / 4), Math.ceil(valueDim / 4)];
  const rows = ({ count, tokens }: Chunks) => count * tokens;
  // Of `vectors.wgsl`: threads that have the same column.
  const groups = TILE / powerOfTwo(dim4);
  const matrix = 64 * dim4 * value4;
  return {
    queries: 16 * rows(queries) * dim4,
    keys: 16 * rows(keys) * dim4,
    vectors: 4 * 16 * Math.max(queries.count, keys.count) * groups * dim4,
    totals: causal ? 0 : 4 * 16 * dim4,
    matrices: matrix * keys.count,
    competition: 8 * keys.count,
    aggregated: causal ? 0 : matrix,
    products: causal ? 4 * (TILE * TILE + 2 * (TILE / ROWS) * TILE) * queries.count : 0,
    tokens: causal ? 16 * rows(queries) : 0,
    conserved: causal ? 8 * rows(queries) : 0,
    shares: causal ? 4 * rows(queries) : 0,
  };
}

/**
 * As many heads at once as their scratch allows, each time the same number but for the last.
 *
 * @throws AttentionError "limit" when the scratch of a single head does not fit in a binding
 */
export function cutHeads(
  shape: FlowShape,
  { limits }: Capabilities,
  queries: Chunks,
  keys: Chunks,
): { cut: Cut; scratch: Scratch }[] {
  const bytes = headBytes(shape, queries, keys);
  const most = Math.max(...Object.values(bytes));
  const limit = limits.maxStorageBufferBindingSize;
  if (most > limit) {
    fail(
      "limit",
      "scratch of one head",
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${most} bytes`,
      shape.causal
        ? "Pass the sequence in pieces, each with the state of the one before."
        : "Request the device with AttentionContext.requirements(adapter).",
    );
  }
  const heads = shape.batches * shape.heads;
  const together = Math.max(1, Math.min(heads, Math.floor(Math.min(limit, ENOUGH_BYTES) / most)));
  const slots = Object.entries(bytes).map(([name, size], slot) => {
    return [name, { scratch: slot, bytes: together * size }];
  });
  const scratch = Object.fromEntries(slots) as Scratch;
  return Array.from({ length: Math.ceil(heads / together) }, (_, index) => {
    const firstHead = index * together;
    return { cut: { firstHead, headCount: Math.min(together, heads - firstHead), queries, keys }, scratch };
  });
}
