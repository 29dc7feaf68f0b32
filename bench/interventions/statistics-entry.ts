// A sweep as an entry of the benchmark, checked on one head.
import { planAttentionStatistics } from "webgpu-attention/calibration";
import { softmaxAttention } from "webgpu-attention/softmax";
import type { BenchEntry } from "../../kernels/_bench/mechanism-bench.js";
import { planEntry, recorded } from "../../kernels/_bench/plan-entry.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";

const TOLERANCE = 1e-5;

/** Received mean, mass of a set, entropy, squares and mean distance; attention itself, which left the log-sum-exp, is not counted. */
export function fiveStatisticsEntry(tokens: number, heads: number, dim: number, causal: boolean): BenchEntry {
  return {
    name: "statistics: five in a sweep",
    rows: tokens * heads,
    async prepare(ctx) {
      const shape: Shape4 = [1, tokens, heads, dim];
      const random = randomSource(1);
      const [qData, kData] = [1, 2].map(() => normalArray(elementCount(shape), random)) as [
        Float32Array,
        Float32Array,
      ];
      const [q, k] = [ctx.fromArray(qData, shape), ctx.fromArray(kData, shape)];
      const { out, lse } = await softmaxAttention(ctx, q, k, k, { causal, lse: true });
      out.buffer.destroy();
      const half = tokens / 2;
      const plan = await planAttentionStatistics(ctx, {
        ...{ q, k, causal, lse: lse! },
        statistics: {
          receivedMean: true,
          mass: [{ range: [0, half] }],
          entropy: true,
          squares: true,
          distance: true,
        },
      });
      const views = Object.fromEntries(
        Object.entries(plan.outputs).map(([name, layout]) => [
          name,
          { ...layout, buffer: ctx.empty(layout.shape).buffer } as TensorView,
        ]),
      );
      const expected = () => {
        const found = firstHead(qData, kData, { tokens, heads, dim, causal, half });
        const places = Array.from({ length: tokens }, (_, t) => t * heads);
        return Object.entries(found).map(([name, values]) => ({ view: views[name]!, places, values }));
      };
      const tensors = { q, k, lse: lse!, ...views };
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], Object.values(views), expected, TOLERANCE, buffers);
    },
  };
}

interface Sizes {
  readonly tokens: number;
  readonly heads: number;
  readonly dim: number;
  readonly causal: boolean;
  readonly half: number;
}

/** The statistics of head 0 in float64. */
function firstHead(q: Float32Array, k: Float32Array, { tokens, heads, dim, causal, half }: Sizes) {
  const make = () => new Float64Array(tokens);
  const found = { receivedMean: make(), mass: make(), entropy: make(), squares: make(), distance: make() };
  const row = make();
  for (let i = 0; i < tokens; i++) {
    const seen = causal ? i + 1 : tokens;
    for (let j = 0; j < seen; j++) {
      let product = 0;
      for (let d = 0; d < dim; d++) product += q[i * heads * dim + d]! * k[j * heads * dim + d]!;
      row[j] = product / Math.sqrt(dim);
    }
    const most = row.subarray(0, seen).reduce((a, b) => Math.max(a, b));
    const sum = row.subarray(0, seen).reduce((total, score) => total + Math.exp(score - most), 0);
    for (let j = 0; j < seen; j++) {
      const weight = Math.exp(row[j]! - most) / sum;
      found.receivedMean[j]! += weight / (causal ? tokens - j : tokens);
      if (j < half) found.mass[i]! += weight;
      found.entropy[i]! -= weight * Math.log(weight);
      found.squares[i]! += weight * weight;
      found.distance[i]! += weight * Math.abs(i - j);
    }
  }
  return found;
}
