import type { AttentionContext } from "../../src/dispatch/context.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { BenchEntry, BenchRow, MechanismBench } from "../_bench/mechanism-bench.js";
import { type Expected, planEntry, recorded } from "../_bench/plan-entry.js";
import { planLinear } from "../_layers/index.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import { type DenseTensor, softmaxAttentionReference } from "../softmax/reference.js";
import { type MixtureInputs, storedMatrix } from "./case-inputs.js";
import { TOLERANCE_F32 } from "./cases.js";
import { planHeadProjection, planMixtureOfHeadAttention, type RouterKind } from "./index.js";
import { headRouterReference, projectionReference } from "./reference.js";

const DIM = 64;
const WIDTH = 512;
const CHECKED_ROWS = 4;

interface Layer {
  readonly tokens: number;
  readonly causal: boolean;
  readonly heads: number;
  readonly kvHeads: number;
}

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
function inputsOf({ tokens, heads, kvHeads }: Layer): Inputs {
  const random = randomSource(1);
  const make = (shape: Shape4, factor = 1): Dense => {
    return { data: normalArray(elementCount(shape), random).map((value) => factor * value), shape };
  };
  const keys: Shape4 = [1, tokens, kvHeads, DIM];
  return {
    x: make([1, tokens, 1, WIDTH]),
    ...{ q: make([1, tokens, heads, DIM]), k: make(keys), v: make(keys) },
    weight: make([1, 1, heads * DIM, WIDTH], 1 / Math.sqrt(heads * DIM)),
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
  const [, tokens, heads] = inputs.q.shape;
  const width = heads * DIM;
  const rows = Array.from({ length: CHECKED_ROWS }, (_, n) =>
    Math.round((n * (tokens - 1)) / (CHECKED_ROWS - 1)),
  );
  const values = rows.flatMap((row) => {
    const q = inputs.q.data.subarray(row * width, (row + 1) * width);
    const { out } = softmaxAttentionReference({
      ...{ k: inputs.k, v: inputs.v, causal, queryOffset: row },
      q: { data: q, shape: [1, 1, heads, DIM] },
    });
    const core = out.map((value, i) => value * gates[row * heads + Math.floor(i / DIM)]!);
    return [...projectionReference(core, width, inputs.weight, inputs.bias.data)];
  });
  const places = rows.flatMap((row) => Array.from({ length: WIDTH }, (_, i) => row * WIDTH + i));
  return [{ view, places, values }];
}

function multiHead(layer: Layer): BenchEntry {
  const { tokens, causal, heads } = layer;
  return {
    name: "multi-head",
    rows: tokens * heads,
    async prepare(ctx) {
      const inputs = inputsOf(layer);
      const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape);
      const attention = {
        ...{ q: upload(inputs.q), k: upload(inputs.k), v: upload(inputs.v) },
        out: ctx.empty(inputs.q.shape),
      };
      const projection = {
        x: { ...attention.out, shape: [1, tokens, 1, heads * DIM] as const },
        ...{
          weight: upload(inputs.weight),
          bias: upload(inputs.bias),
          out: ctx.empty([1, tokens, 1, WIDTH]),
        },
      };
      const plan = await planSoftmaxAttention(ctx, { ...attention, causal });
      const linear = await planLinear(ctx, projection);
      const plans = [recorded(plan, attention), recorded(linear, projection)];
      const ones = new Float32Array(tokens * heads).fill(1);
      const expected = () => expectedRows(inputs, ones, causal, projection.out);
      const buffers = [...Object.values(attention), ...Object.values(projection)].map(({ buffer }) => buffer);
      return planEntry(ctx, plans, [projection.out], expected, TOLERANCE_F32, [...new Set(buffers)]);
    },
  };
}

function mixture(
  layer: Layer,
  sharedHeads: number,
  topK: number,
  router: RouterKind = "learned",
): BenchEntry {
  const { tokens, causal, heads } = layer;
  return {
    name: `${choiceName(heads, sharedHeads, topK)}${router === "norm" ? ", by norms" : ""}`,
    rows: tokens * heads,
    async prepare(ctx) {
      const inputs = inputsOf(layer);
      const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape);
      const matrices = {
        routed: inputs.matrix(heads - sharedHeads),
        ...(sharedHeads > 1 && { shared: inputs.matrix(sharedHeads) }),
        ...(sharedHeads > 0 && { balance: inputs.matrix(2) }),
      };
      const weights: MixtureInputs["weights"] = router === "norm" ? {} : matrices;
      // [out, in] row-major, as layers keep them.
      const stored = Object.entries(weights).map(([name, matrix]) => {
        const { layout, data } = storedMatrix(matrix, true);
        return [name, { ...layout, buffer: ctx.fromArray(data, [1, 1, 1, data.length]).buffer }] as const;
      });
      const tensors = {
        x: upload(inputs.x),
        ...{ q: upload(inputs.q), k: upload(inputs.k), v: upload(inputs.v) },
        weights: {
          ...Object.fromEntries(stored),
          out: upload(inputs.weight),
          outBias: upload(inputs.bias),
        },
        out: ctx.empty([1, tokens, 1, WIDTH]),
      };
      const options = { sharedHeads, topK, router, causal };
      const plan = await planMixtureOfHeadAttention(ctx, { ...tensors, ...options });
      const expected = () => {
        const { gates } = headRouterReference({
          ...{ heads, sharedHeads, topK },
          ...(router === "norm" ? { q: inputs.q } : { x: inputs.x, weights }),
        });
        return expectedRows(inputs, gates, causal, tensors.out);
      };
      const { weights: own, ...views } = tensors;
      const buffers = [...Object.values(views), ...Object.values(own)].map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE_F32, buffers);
    },
  };
}

function choiceName(heads: number, sharedHeads: number, topK: number): string {
  const percent = Math.round((100 * (sharedHeads + topK)) / heads);
  return `${percent} % active: ${sharedHeads} shared, ${topK} of ${heads - sharedHeads}`;
}

function row(changes: Partial<Layer>, entries: (layer: Layer) => readonly BenchEntry[]): BenchRow {
  const layer = { tokens: 1024, causal: false, heads: 8, kvHeads: 8, ...changes };
  const { tokens, causal, heads, kvHeads } = layer;
  const size = kvHeads === heads ? `${heads} heads` : `${heads} heads of ${kvHeads} key heads`;
  return {
    name: `${tokens} tokens, ${size}${causal ? ", causal" : ""}`,
    compare: "time per row",
    entries: [multiHead(layer), ...entries(layer)],
  };
}

const ALL = (layer: Layer) => [
  mixture(layer, 2, 2),
  mixture(layer, 0, 4),
  mixture(layer, 2, 4),
  mixture(layer, 0, 6),
  mixture(layer, 2, 6),
  mixture(layer, 2, 2, "norm"),
];

/** The projection alone: that of active heads against a linear layer. */
function projection(layer: Layer, sharedHeads: number, topK: number): BenchEntry {
  const { tokens, heads } = layer;
  const all = sharedHeads + topK === heads;
  return {
    name: all ? "linear layer" : choiceName(heads, sharedHeads, topK),
    rows: tokens * heads,
    async prepare(ctx) {
      const inputs = inputsOf(layer);
      const { gates } = headRouterReference({
        ...{ heads, sharedHeads, topK, x: inputs.x },
        weights: {
          ...(topK > 0 && { routed: inputs.matrix(Math.max(heads - sharedHeads, 1)) }),
          ...(sharedHeads > 1 && { shared: inputs.matrix(sharedHeads) }),
        },
      });
      const width = heads * DIM;
      const attended = ctx.fromArray(inputs.q.data, inputs.q.shape);
      const weight = ctx.fromArray(inputs.weight.data, inputs.weight.shape);
      const bias = ctx.fromArray(inputs.bias.data, inputs.bias.shape);
      const own = ctx.fromArray(Float32Array.from(gates), [1, tokens, heads, 1]);
      const out = ctx.empty([1, tokens, 1, WIDTH]);
      const lists = listsOf(ctx, gates, tokens, heads);
      const x = { ...attended, shape: [1, tokens, 1, width] as const };
      const tensors = { attended, gates: own, lists, weight, bias, out };
      const linear = { x, weight, bias, out };
      const plan = all
        ? recorded(await planLinear(ctx, linear), linear)
        : recorded(
            await planHeadProjection(ctx, { attended, gates: own, weight, bias, out, sharedHeads, topK }),
            tensors,
          );
      const expected = () => {
        const core = inputs.q.data.map((value, i) => (all ? value : value * gates[Math.floor(i / DIM)]!));
        const rows = [0, tokens - 1];
        const values = rows.flatMap((token) => [
          ...projectionReference(
            core.subarray(token * width, (token + 1) * width),
            width,
            inputs.weight,
            inputs.bias.data,
          ),
        ]);
        const places = rows.flatMap((token) => Array.from({ length: WIDTH }, (_, i) => token * WIDTH + i));
        return [{ view: out, places, values }];
      };
      const buffers = [...[attended, weight, bias, own, out].map(({ buffer }) => buffer), lists];
      return planEntry(ctx, [plan], [out], expected, TOLERANCE_F32, buffers);
    },
  };
}

function listsOf(ctx: AttentionContext, gates: ArrayLike<number>, tokens: number, heads: number): GPUBuffer {
  const words = new Uint32Array(heads * (1 + tokens));
  for (let head = 0; head < heads; head++) {
    const own = words.subarray(head * (1 + tokens), (head + 1) * (1 + tokens));
    for (let token = 0; token < tokens; token++) {
      if (gates[token * heads + head] !== 0) own[++own[0]!] = token;
    }
  }
  return ctx.fromArray(new Float32Array(words.buffer), [1, heads, 1, 1 + tokens]).buffer;
}

function projectionRow(heads: number, choices: readonly [number, number][]): BenchRow {
  const layer = { tokens: 1024, causal: false, heads, kvHeads: heads };
  return {
    name: `projection of 1024 tokens, ${heads} heads`,
    compare: "time per row",
    entries: [
      projection(layer, heads, 0),
      ...choices.map(([shared, topK]) => projection(layer, shared, topK)),
    ],
  };
}

/**
 * Router, attention and output projection against those of multi-head attention, softmax attention and a linear layer, with
 * projected q, k and v: time over that of multi-head attention; then the projection alone. D = 64, C = 512. Of 16 heads there are
 * so many choices that the projection goes head by head.
 */
export default {
  rows: [
    row({}, ALL),
    row({ tokens: 2048 }, ALL),
    row({ causal: true }, ALL),
    row({ kvHeads: 2 }, (layer) => [mixture(layer, 2, 2), mixture(layer, 2, 4)]),
    row({ heads: 16, kvHeads: 16 }, (layer) => [mixture(layer, 2, 4)]),
    projectionRow(8, [
      [2, 2],
      [0, 4],
      [2, 4],
      [0, 6],
    ]),
    projectionRow(16, [[2, 4]]),
  ],
} satisfies MechanismBench;
