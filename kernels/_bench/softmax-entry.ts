import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import { softmaxAttentionReference } from "../softmax/reference.js";
import type { BenchEntry } from "./mechanism-bench.js";
import { planEntry, recorded } from "./plan-entry.js";

const TOLERANCE = 1e-5;
const CHECKED_ROWS = 4;

/** Softmax attention as the table has it, to hold others against; a few query rows of each head are checked. */
export function softmaxEntry(tokens: number, heads: number, dim: number, causal: boolean): BenchEntry {
  return {
    name: `softmax, ${causal ? "causal" : "full"}`,
    rows: tokens * heads,
    async prepare(ctx) {
      const shape: Shape4 = [1, tokens, heads, dim];
      const random = randomSource(1);
      const [q, k, v] = [0, 1, 2].map(() => normalArray(tokens * heads * dim, random)) as [
        Float32Array<ArrayBuffer>,
        Float32Array<ArrayBuffer>,
        Float32Array<ArrayBuffer>,
      ];
      const upload = (data: Float32Array) => ctx.fromArray(data, shape);
      const tensors = { q: upload(q), k: upload(k), v: upload(v), out: ctx.empty(shape) };
      const plan = await planSoftmaxAttention(ctx, { ...tensors, causal });
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
            causal,
            queryOffset: row,
          }).out,
        ]);
        const places = rows.flatMap((row) => Array.from({ length: width }, (_, i) => row * width + i));
        return [{ view: tensors.out, places, values }];
      };
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, buffers);
    },
  };
}
