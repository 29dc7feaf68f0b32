import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { BenchEntry, BenchRow, MechanismBench } from "../_bench/mechanism-bench.js";
import { planEntry, recorded } from "../_bench/plan-entry.js";
import { softmaxEntry } from "../_bench/softmax-entry.js";
import { TOLERANCE_F32 } from "./cases.js";
import { planFlowAttention } from "./index.js";
import { flowAttentionReference } from "./reference.js";

const DIM = 64;

function flow(name: string, tokens: number, heads: number, causal: boolean): BenchEntry {
  return {
    name,
    rows: tokens * heads,
    async prepare(ctx) {
      const shape: Shape4 = [1, tokens, heads, DIM];
      const random = randomSource(1);
      const make = () => ({ data: normalArray(elementCount(shape), random), shape });
      const [q, k, v] = [make(), make(), make()];
      const upload = ({ data }: typeof q) => ctx.fromArray(data, shape);
      const tensors = { q: upload(q), k: upload(k), v: upload(v), out: ctx.empty(shape) };
      const plan = await planFlowAttention(ctx, { ...tensors, causal });
      const expected = () => {
        const values = flowAttentionReference({ q, k, v, causal });
        return [{ view: tensors.out, values, places: Array.from({ length: values.length }, (_, i) => i) }];
      };
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE_F32, buffers);
    },
  };
}

/** From 8,192 tokens on one head is enough to keep a device busy; shorter sequences have eight. */
function scaling(name: string, causal: boolean): BenchRow {
  const entries = [1024, 4096, 16_384].map((tokens) => {
    const heads = tokens < 8192 ? 8 : 1;
    return flow(`${tokens} tokens, ${heads} head${heads > 1 ? "s" : ""}`, tokens, heads, causal);
  });
  return { name, compare: "time per row", entries };
}

/** Flow attention with D = Dv = 64 against full softmax attention of the same shape, and its time per row. */
export default {
  rows: [
    ...[1, 8].map((heads) => ({
      name: `4096 tokens, ${heads} head${heads > 1 ? "s" : ""}`,
      compare: "speedup" as const,
      entries: [
        softmaxEntry(4096, heads, DIM, false),
        flow("flow", 4096, heads, false),
        flow("flow, causal", 4096, heads, true),
      ],
    })),
    scaling("all to all", false),
    scaling("causal", true),
  ],
} satisfies MechanismBench;
