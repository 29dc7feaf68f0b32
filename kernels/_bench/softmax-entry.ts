import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { planSoftmaxAttention, type SoftmaxOptions } from "../softmax/index.js";
import { softmaxAttentionReference } from "../softmax/reference.js";
import type { BenchEntry } from "./mechanism-bench.js";
import { planEntry, recorded } from "./plan-entry.js";

const TOLERANCE = 1e-5;
const CHECKED_ROWS = 4;

/** Options with data on the device, and the buffers that go with the entry. */
export interface BenchOptions {
  readonly options: Omit<SoftmaxOptions, "bias">;
  readonly buffers?: readonly GPUBuffer[];
}

/** Softmax attention under a mask, as the table has it; a few query rows of each head are checked. */
export function maskedSoftmaxEntry({
  name,
  tokens,
  heads,
  dim,
  make,
  sees,
}: {
  readonly name: string;
  readonly tokens: number;
  readonly heads: number;
  readonly dim: number;
  readonly make: (ctx: AttentionContext) => Promise<BenchOptions>;
  /** What the options mean: whether query row i sees key j. */
  readonly sees: (i: number, j: number) => boolean;
}): BenchEntry {
  return {
    name,
    rows: tokens * heads,
    async prepare(ctx) {
      const shape: Shape4 = [1, tokens, heads, dim];
      const random = randomSource(1);
      const data = () => normalArray(tokens * heads * dim, random);
      const [q, k, v] = [data(), data(), data()];
      const { options, buffers = [] } = await make(ctx);
      const upload = (values: Float32Array) => ctx.fromArray(values, shape);
      const tensors = { q: upload(q), k: upload(k), v: upload(v), out: ctx.empty(shape) };
      const plan = await planSoftmaxAttention(ctx, { ...tensors, ...options });
      const width = heads * dim;
      const expected = () => {
        const rows = Array.from({ length: CHECKED_ROWS }, (_, n) =>
          Math.round((n * (tokens - 1)) / (CHECKED_ROWS - 1)),
        );
        const values = rows.flatMap((row) => [
          ...softmaxAttentionReference({
            q: { data: q.subarray(row * width, (row + 1) * width), shape: [1, 1, heads, dim] },
            k: { data: k, shape },
            v: { data: v, shape },
            maskMod: (_b, _h, _i, j) => sees(row, j),
          }).out,
        ]);
        const places = rows.flatMap((row) => Array.from({ length: width }, (_, i) => row * width + i));
        return [{ view: tensors.out, places, values }];
      };
      const all = [...Object.values(tensors).map(({ buffer }) => buffer), ...buffers];
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, all);
    },
  };
}

/** Softmax attention to hold others against. */
export function softmaxEntry(tokens: number, heads: number, dim: number, causal: boolean): BenchEntry {
  return maskedSoftmaxEntry({
    name: `softmax, ${causal ? "causal" : "full"}`,
    ...{ tokens, heads, dim },
    make: async () => ({ options: { causal } }),
    sees: (i, j) => !causal || j <= i,
  });
}
