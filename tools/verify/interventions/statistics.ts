import type { AttentionContext, TensorView } from "webgpu-attention";
import {
  type AttentionStatisticsOptions,
  attentionStatistics,
  type StatisticsOutputs,
} from "webgpu-attention/calibration";
import {
  advantageWeights,
  frobeniusNorm,
  futureInfluenceCounts,
  localFocus,
  meanDistance,
  receiverKurtosis,
  rhythmHeads,
  rhythmTokens,
  sinkRate,
} from "webgpu-attention/hooks";
import { softmaxAttention } from "webgpu-attention/softmax";
import type { CaseBuffers } from "../case-buffers.js";
import { inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;
/** For whole numbers, and for what is made of few of them. */
const EXACT = 1e-9;

/** Numbers of all heads, head by head, as the files have them. */
type PerHead = Readonly<Record<keyof StatisticsOutputs<unknown>, Float64Array>>;

/** Attention for its log-sum-exp, then its statistics. Values take no part: keys stand in for them. */
async function statisticsOf(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  options: AttentionStatisticsOptions,
): Promise<PerHead> {
  const { statistics, headGroups, ...attention } = options;
  const { out, lse } = await softmaxAttention(ctx, q, k, k, { ...attention, lse: true });
  const found = await attentionStatistics(ctx, q, k, lse!, options);
  const read: Partial<Record<keyof PerHead, Float64Array>> = {};
  for (const [name, view] of Object.entries(found) as [keyof PerHead, TensorView][]) {
    const count = view.shape.reduce((product, size) => product * size);
    read[name] = Float64Array.from(
      await ctx.read({ buffer: view.buffer, dtype: "f32", shape: [1, 1, 1, count] }),
    );
    view.buffer.destroy();
  }
  out.buffer.destroy();
  lse!.buffer.destroy();
  return read as PerHead;
}

/** Compares with `expect.NAME`, where the file has it. */
function comparer({ tensors }: VerifyCase, compared: ComparedOutput[]) {
  return (name: string, actual: () => ArrayLike<number>, tolerance = TOLERANCE): void => {
    const tensor = tensors.get(`expect.${name}`);
    if (!tensor) return;
    compared.push({ name: `expect.${name}`, actual: actual(), expected: numbersOf(tensor), tolerance });
  };
}

function slices(values: ArrayLike<number>, length: number): number[][] {
  const all = Array.from(values);
  return Array.from({ length: all.length / length }, (_, n) => all.slice(n * length, (n + 1) * length));
}

export const runAttentionStats: Mechanism = async (ctx, testCase, buffers) => {
  const { causal = true } = testCase.params as { causal?: boolean };
  const [, , N] = requireTensor(testCase, "input.q").shape as [number, number, number, number];
  const diagonals = [...Array(testCase.tensors.get("expect.local_focus")?.shape[1] ?? 1).keys()];
  const found = await statisticsOf(
    ctx,
    inputView(testCase, buffers, "input.q"),
    inputView(testCase, buffers, "input.k"),
    {
      causal,
      statistics: {
        receivedMean: true,
        receivedSum: true,
        receivedMax: true,
        entropy: true,
        squares: true,
        distance: true,
        headDiversity: true,
        diagonals,
      },
    },
  );
  const means = slices(found.receivedMean, N);
  const ofHeads = (values: Float64Array, of: (own: number[]) => number) => slices(values, N).map(of);
  const diagonal = (n: number) =>
    slices(
      found.diagonals.filter((_, at) => at % diagonals.length === n),
      N,
    );
  const compared: ComparedOutput[] = [];
  const compare = comparer(testCase, compared);
  compare("received_mean", () => found.receivedMean);
  compare("received_sum", () => found.receivedSum);
  compare("received_max", () => found.receivedMax);
  compare("row_entropy", () => found.entropy);
  compare("entropy_total", () => ofHeads(found.entropy, (own) => own.reduce((a, b) => a + b)));
  compare("frobenius", () => ofHeads(found.squares, frobeniusNorm));
  compare("mean_distance", () => ofHeads(found.distance, (own) => meanDistance(own)));
  compare("first_token", () => means.map((own) => own[0]!));
  compare("receiver_kurtosis", () => means.map((own) => receiverKurtosis(own)));
  compare("head_diversity", () => found.headDiversity);
  compare("diagonal", () => diagonal(0).flat());
  compare("local_focus", () =>
    means.flatMap((_, head) => diagonals.map((n) => localFocus(diagonal(n)[head]!, n, { keys: N }))),
  );
  for (const name of testCase.tensors.keys()) {
    const [, kind, epsilon] = /^expect\.(sink_(?:heads|rate))_eps([\d.]+)$/.exec(name) ?? [];
    if (!kind) continue;
    const { isSinkHead, rate } = sinkRate(means, { epsilon: Number(epsilon) });
    compare(`${kind}_eps${epsilon}`, () => (kind === "sink_rate" ? [rate] : isSinkHead.map(Number)), EXACT);
  }
  const lse = await softmaxLse(ctx, testCase, buffers, causal);
  compare("lse", () => lse);
  return compared;
};

async function softmaxLse(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
  causal: boolean,
): Promise<Float32Array> {
  const [q, k] = ["q", "k"].map((name) => inputView(testCase, buffers, `input.${name}`)) as [
    TensorView,
    TensorView,
  ];
  const { out, lse } = await softmaxAttention(ctx, q, k, k, { causal, lse: true });
  const [batch, tokens, heads] = lse!.shape;
  const values = await ctx.read({
    buffer: lse!.buffer,
    dtype: "f32",
    shape: [1, 1, 1, batch * tokens * heads],
  });
  out.buffer.destroy();
  lse!.buffer.destroy();
  return values;
}

interface RhythmParams {
  readonly W: number;
  readonly prompt_len: number;
  readonly head_quantile: number;
  readonly horizons: readonly (readonly [number, number])[];
  readonly top_q: number;
  readonly k: number;
  readonly gamma_amp: number;
  readonly alpha: number;
}

/** Layers lie behind each other, [L, H, N, D], and are heads of one batch entry to the statistics. */
export const runWaadFai: Mechanism = async (ctx, testCase, buffers) => {
  const { W, prompt_len: from, ...params } = testCase.params as unknown as RhythmParams;
  const [layers, own, N, dim] = requireTensor(testCase, "input.q").shape as [number, number, number, number];
  const heads = layers * own;
  const view = (name: string): TensorView => ({
    ...inputView(testCase, buffers, name),
    shape: [1, N, heads, dim],
    strides: [heads * N * dim, dim, N * dim, 1],
  });
  const [q, k] = [view("input.q"), view("input.k")];
  const compared: ComparedOutput[] = [];
  const compare = comparer(testCase, compared);

  const { distance } = await statisticsOf(ctx, q, k, { causal: true, statistics: { distance: true } });
  const distances = slices(distance, N).map((rows) => meanDistance(rows, from));
  compare("mean_distance", () => distances);
  const groups = rhythmHeads(distances, params.head_quantile);
  compare("local_heads", () => groups.local, EXACT);
  compare("global_heads", () => groups.global, EXACT);

  const local = { causal: true, headGroups: [groups.local], statistics: { windowedDistance: W } };
  const waad = (await statisticsOf(ctx, q, k, local)).windowedDistance.slice(from);
  compare("waad", () => waad);
  const influence = async (low: number, high: number) => {
    const horizon = { low, high, from };
    const global = { causal: true, headGroups: [groups.global], statistics: { futureInfluence: horizon } };
    const { futureInfluence } = await statisticsOf(ctx, q, k, global);
    return { fai: futureInfluence, faiCounts: futureInfluenceCounts(N, horizon) };
  };
  for (const [low, high] of params.horizons) {
    const { fai, faiCounts } = await influence(low, high);
    compare(low === 0 && high >= N - 1 ? "fai_all" : `fai_${low}_${high}`, () => fai);
    compare(`count_${low}_${high}`, () => faiCounts, EXACT);
  }

  const { fai, faiCounts } = await influence(...params.horizons[0]!);
  const tokens = rhythmTokens({ waad, fai, faiCounts }, { share: params.top_q, lookBack: params.k });
  const marks = (positions: readonly number[]) =>
    Array.from({ length: N }, (_, t) => Number(positions.includes(t)));
  compare("delta", () => tokens.delta);
  compare("top_local", () => marks(tokens.preplan), EXACT);
  compare("top_global", () => marks(tokens.anchors), EXACT);
  compare("dominated", () => marks(tokens.dominated), EXACT);
  compare("intro", () => marks(tokens.intro), EXACT);
  for (const credit of ["local", "global", "coupled"] as const) {
    const weights = advantageWeights(tokens, N, { credit, gamma: params.gamma_amp, alpha: params.alpha });
    compare(`gamma_${credit}`, () => weights, EXACT);
  }
  return compared;
};

/** Given weights, as a bias for queries and keys that are zero. */
export const runWaadFaiSmall: Mechanism = async (ctx, testCase, buffers) => {
  const {
    windows,
    horizons,
    prompt_len: from,
  } = testCase.params as unknown as {
    windows: readonly number[];
    horizons: readonly (readonly [number, number])[];
    prompt_len: number;
  };
  const weights = requireTensor(testCase, "input.weights");
  const [heads, N] = weights.shape as [number, number, number];
  const zeros: TensorView = {
    buffer: buffers.upload(new Float32Array(N * heads)),
    dtype: "f32",
    shape: [1, N, heads, 1],
  };
  const bias: TensorView = {
    buffer: buffers.upload(Array.from(numbersOf(weights), (weight) => Math.log(weight))),
    dtype: "f32",
    shape: [1, heads, N, N],
  };
  const compared: ComparedOutput[] = [];
  const compare = comparer(testCase, compared);
  for (const window of windows) {
    const found = await statisticsOf(ctx, zeros, zeros, { bias, statistics: { windowedDistance: window } });
    compare(`waad_W${window}`, () => found.windowedDistance);
  }
  for (const [low, high] of horizons) {
    const statistics = { futureInfluence: { low, high, from } };
    const found = await statisticsOf(ctx, zeros, zeros, { bias, statistics });
    compare(`fai_${low}_${high}`, () => found.futureInfluence);
  }
  return compared;
};
