import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { fail } from "../../../src/dispatch/check.js";
import type { BindingSource } from "../../../src/dispatch/pass.js";
import type { PrefixSoftmaxShape } from "./problem.js";

/** Heads, of batch * heads + head, that are taken together, and what their passes hand to each other. */
export interface HeadCut {
  readonly firstHead: number;
  readonly headCount: number;
  readonly chunks: Chunks;
  readonly scratch: Readonly<Record<"scores" | "sums", BindingSource>>;
}

export interface Chunks {
  readonly count: number;
  /** The last may have fewer. */
  readonly tokens: number;
}

/** Scratch beyond this is not taken for the sake of more heads at once. */
const ENOUGH_BYTES = 2 ** 27;

/**
 * As many heads at once as their scratch allows, each time the same number but for the last.
 *
 * @throws AttentionError "limit" when the scratch of a single head does not fit in a binding
 */
export function cutHeads(
  { batches, heads, tokens, valueDim }: PrefixSoftmaxShape,
  { limits }: Capabilities,
  chunks: Chunks,
): HeadCut[] {
  const scores = 4 * tokens;
  const sums = 16 * (chunks.count - 1) * (2 + Math.ceil(valueDim / 4));
  const most = Math.max(scores, sums);
  const limit = limits.maxStorageBufferBindingSize;
  if (most > limit)
    fail(
      "limit",
      "scratch of one head",
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${most} bytes`,
      "Pass the sequence in pieces, each with the state of the one before.",
    );
  const all = batches * heads;
  const together = Math.max(1, Math.min(all, Math.floor(Math.min(limit, ENOUGH_BYTES) / most)));
  const scratch = {
    scores: { scratch: 0, bytes: together * scores },
    sums: { scratch: 1, bytes: together * sums },
  };
  return Array.from({ length: Math.ceil(all / together) }, (_, index) => {
    const firstHead = index * together;
    return { firstHead, headCount: Math.min(together, all - firstHead), chunks, scratch };
  });
}
