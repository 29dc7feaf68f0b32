import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { BenchEntry, BenchRow, MechanismBench } from "../_bench/mechanism-bench.js";
import { type Expected, planEntry, recorded } from "../_bench/plan-entry.js";
import { planLinear } from "../_layers/index.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import { type DenseTensor, softmaxAttentionReference } from "../softmax/reference.js";
import { TOLERANCE_F32 } from "./cases.js";
import { planMixtureOfHeadAttention } from "./index.js";
import { headRouterReference, projectionReference } from "./reference.js";

const HEADS = 8;
const DIM = 64;
const WIDTH = 512;
const CHECKED_ROWS = 4;

interface Dense extends DenseTensor {
  readonly data: Float32Array<ArrayBuffer>;
}

interface Inputs {
  readonly x: Dense;
  readonly q: Dense;
  readonly k: Dense;
  readonly v: Dense;
  readonly weight: Dense;
  readonly bias: Dense;
  matrix(columns: number): Dense;
}

/** The same for all entries of a row. The router's weights are such that heads vary from token to token. */
function inputsOf(tokens: number): Inputs {
  const random = randomSource(1);
  const make = (shape: Shape4, factor = 1): Dense => {
    return { data: normalArray(elementCount(shape), random).map((value) => factor * value), shape };
  };
  const heads: Shape4 = [1, tokens, HEADS, DIM];
  return {
    x: make([1, tokens, 1, WIDTH]),
    ...{ q: make(heads), k: make(heads), v: make(heads) },
    weight: make([1, 1, HEADS * DIM, WIDTH], 1 / Math.sqrt(HEADS * DIM)),
    bias: make([1, 1, 1, WIDTH]),
    matrix: (columns) => make([1, 1, WIDTH, columns], 1 / Math.sqrt(WIDTH)),
  };
}

/** What a few tokens should have, with these gates. */
function expectedRows(
  inputs: Inputs,
  gates: ArrayLike<number>,
  causal: boolean,
  view: TensorView,
): Expected[] {
  const tokens = inputs.q.shape[1];
  const width = HEADS * DIM;
  const rows = Array.from({ length: CHECKED_ROWS }, (_, n) =>
    Math.round((n * (tokens - 1)) / (CHECKED_ROWS - 1)),
  );
  const values = rows.flatMap((row) => {
    const q = inputs.q.data.subarray(row * width, (row + 1) * width);
    const { out } = softmaxAttentionReference({
      ...{ k: inputs.k, v: inputs.v, causal, queryOffset: row },
      q: { data: q, shape: [1, 1, HEADS, DIM] },
    });
    const core = out.map((value, i) => value * gates[row * HEADS + Math.floor(i / DIM)]!);
    return [...projectionReference(core, width, inputs.weight, inputs.bias.data)];
  });
  const places = rows.flatMap((row) => Array.from({ length: WIDTH }, (_, i) => row * WIDTH + i));
  return [{ view, places, values }];
}

function multiHead(tokens: number, causal: boolean): BenchEntry {
  return {
    name: "multi-head",
    rows: tokens * HEADS,
    async prepare(ctx) {
      const inputs = inputsOf(tokens);
      const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape);
      const attention = {
        ...{ q: upload(inputs.q), k: upload(inputs.k), v: upload(inputs.v) },
        out: ctx.empty(inputs.q.shape),
      };
      const projection = {
        x: { ...attention.out, shape: [1, tokens, 1, HEADS * DIM] as const },
        ...{
          weight: upload(inputs.weight),
          bias: upload(inputs.bias),
          out: ctx.empty([1, tokens, 1, WIDTH]),
        },
      };
      const plan = await planSoftmaxAttention(ctx, { ...attention, causal });
      const linear = await planLinear(ctx, projection);
      const plans = [recorded(plan, attention), recorded(linear, projection)];
      const ones = new Float32Array(tokens * HEADS).fill(1);
      const expected = () => expectedRows(inputs, ones, causal, projection.out);
      const buffers = [...Object.values(attention), ...Object.values(projection)].map(({ buffer }) => buffer);
      return planEntry(ctx, plans, [projection.out], expected, TOLERANCE_F32, [...new Set(buffers)]);
    },
  };
}

function mixture(tokens: number, causal: boolean, sharedHeads: number, topK: number): BenchEntry {
  const percent = (100 * (sharedHeads + topK)) / HEADS;
  return {
    name: `${percent} % active: ${sharedHeads} shared, ${topK} of ${HEADS - sharedHeads}`,
    rows: tokens * HEADS,
    async prepare(ctx) {
      const inputs = inputsOf(tokens);
      const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape);
      const router = {
        routed: inputs.matrix(HEADS - sharedHeads),
        ...(sharedHeads > 1 && { shared: inputs.matrix(sharedHeads) }),
        ...(sharedHeads > 0 && { balance: inputs.matrix(2) }),
      };
      const matrices = Object.entries(router).map(([name, matrix]) => [name, upload(matrix)] as const);
      const tensors = {
        x: upload(inputs.x),
        ...{ q: upload(inputs.q), k: upload(inputs.k), v: upload(inputs.v) },
        weights: {
          ...Object.fromEntries(matrices),
          out: upload(inputs.weight),
          outBias: upload(inputs.bias),
        },
        out: ctx.empty([1, tokens, 1, WIDTH]),
      };
      const plan = await planMixtureOfHeadAttention(ctx, { ...tensors, sharedHeads, topK, causal });
      const expected = () => {
        const { gates } = headRouterReference({
          heads: HEADS,
          sharedHeads,
          topK,
          x: inputs.x,
          weights: router,
        });
        return expectedRows(inputs, gates, causal, tensors.out);
      };
      const { weights, ...views } = tensors;
      const buffers = [...Object.values(views), ...Object.values(weights)].map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE_F32, buffers);
    },
  };
}

function row(tokens: number, causal: boolean): BenchRow {
  return {
    name: `${tokens} tokens${causal ? ", causal" : ""}`,
    compare: "time per row",
    entries: [
      multiHead(tokens, causal),
      mixture(tokens, causal, 2, 2),
      mixture(tokens, causal, 0, 4),
      mixture(tokens, causal, 2, 4),
      mixture(tokens, causal, 2, 6),
    ],
  };
}

/**
 * Router, attention and output projection against those of multi-head attention, softmax attention and a linear layer, with
 * projected q, k and v: time over that of multi-head attention. 8 heads, D = 64, C = 512.
 */
export default {
  rows: [row(1024, false), row(2048, false), row(1024, true)],
} satisfies MechanismBench;
