import type { TensorView } from "webgpu-attention";
import { planLrpe, planMatmul } from "webgpu-attention/layers";
import { planLinearAttention } from "webgpu-attention/linear";
import type { LightningConfig } from "../../config/model-config.js";
import { watchHeads } from "../announce.js";
import { type LayerContext, linearWeights, rows } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import { planSteps, type Step, stepOf } from "../step.js";
import { planOutput } from "./output.js";
import { headsOf, turnsOf } from "./recurrent.js";
import { type Streams, takeStream } from "./streams.js";

/** TransNormerLLM's: o = norm(attention(φ(q), φ(k), v)) · u, with LRPE on q and k in some layers. Three dispatches of a decode step, or four. */
export async function planLightningMixer(
  layer: LayerContext,
  attention: LightningConfig,
  streams: Streams,
  state: SequenceState | undefined,
): Promise<Step[]> {
  const { heads, headDim, lrpe } = attention;
  const projected = rows(layer, "projected", 4 * heads * headDim);
  const part = (n: number) => headsOf(projected, heads, headDim, n);
  const both = headsOf(projected, 2 * heads, headDim, 0);
  const turned = layer.work.view("turned", [layer.batches, layer.tokens, 2 * heads, 2 * headDim]);
  const [q, k] = lrpe ? halves(turned) : [part(0), part(1)];
  const out = layer.work.view("attended", [layer.batches, layer.tokens, heads, headDim]);
  const { before, after } = watchHeads(layer, { q, k, v: part(2), out });
  return planSteps([
    planProjected(layer, attention, streams, projected),
    ...(lrpe ? [planTurned(layer, { ...attention, lrpe }, both, turned)] : []),
    Promise.resolve(before),
    planRecurrence(layer, attention, { q, k, v: part(2), out }, state),
    Promise.resolve(after),
    planGatedOut(layer, attention, streams, projected),
  ]);
}

async function planProjected(
  layer: LayerContext,
  { heads, headDim, activation }: LightningConfig,
  streams: Streams,
  out: TensorView,
): Promise<Step> {
  const slot = `layers.${layer.index}`;
  const { options, tensors } = takeStream(layer, streams, `${slot}.norm1`);
  const plan = await planMatmul(layer.ctx, {
    ...{ ...options, out, activation, activated: 2 * heads * headDim },
    ...linearWeights(layer, `${slot}.qkvu`),
  });
  return stepOf(plan, { ...tensors, out });
}

/** Heads of q, then those of k. */
function halves(both: TensorView): readonly [TensorView, TensorView] {
  const [batches, tokens, heads, dim] = both.shape;
  const half = (n: number): TensorView => ({
    ...both,
    shape: [batches, tokens, heads / 2, dim],
    strides: [tokens * heads * dim, heads * dim, dim, 1],
    offset: (n * heads * dim) / 2,
  });
  return [half(0), half(1)];
}

async function planRecurrence(
  layer: LayerContext,
  { decay, scale }: LightningConfig,
  inputs: Readonly<Record<"q" | "k" | "v" | "out", TensorView>>,
  state: SequenceState | undefined,
): Promise<Step> {
  const tensors = (run: SequenceState | undefined) => {
    if (!state) return inputs;
    const { state: before, stateOut } = turnsOf(layer, run);
    return { ...inputs, state: { s: before }, stateOut: { s: stateOut } };
  };
  const plan = await planLinearAttention(layer.ctx, { ...tensors(state), decay, scale });
  return stepOf(plan, tensors);
}

/** The norm over all channels and the gate are the projection's prologue. */
function planGatedOut(
  layer: LayerContext,
  { heads, headDim, outputNormEps: epsilon }: LightningConfig,
  streams: Streams,
  projected: TensorView,
): Promise<Step[]> {
  const inner = heads * headDim;
  const x = rows(layer, "attended", inner);
  const { strides } = headsOf(projected, 1, inner, 0);
  const scale: TensorView = {
    ...x,
    buffer: projected.buffer,
    ...(strides && { strides }),
    offset: 3 * inner,
  };
  return planOutput(layer, streams, async (target) => {
    const plan = await planMatmul(layer.ctx, {
      ...{ x, ...target, ...linearWeights(layer, `layers.${layer.index}.out`) },
      ...{ norm: { kind: "rms", epsilon }, modulation: { scale, offset: 0 } },
    });
    return stepOf(plan, { x, scale, ...target });
  });
}

/** q and k at once: they turn alike. */
async function planTurned(
  layer: LayerContext,
  { lrpe, heads, headDim }: LightningConfig & { readonly lrpe: LrpeConfig },
  x: TensorView,
  out: TensorView,
): Promise<Step> {
  const { ctx, weights, index, totals } = layer;
  const own =
    "learned" in lrpe
      ? await ctx.read(weights.view(`layers.${index}.lrpe`))
      : lrpeFrequencies(lrpe.base, heads * headDim);
  const plan = await planLrpe(ctx, {
    ...{ x, out, frequencies: [...own, ...own] },
    ...(totals && { lengths: totals }),
  });
  return stepOf(plan, { x, out });
}

type LrpeConfig = NonNullable<LightningConfig["lrpe"]>;

/** base^(-2c / channels), c counted through all heads (arXiv 2307.14995). */
function lrpeFrequencies(base: number, channels: number): Float64Array {
  return Float64Array.from({ length: channels }, (_, c) => base ** ((-2 * c) / channels));
}
