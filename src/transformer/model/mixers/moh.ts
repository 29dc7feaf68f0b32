import { AttentionError, type TensorView } from "webgpu-attention";
import { planLayerNorm, planRmsNorm } from "webgpu-attention/layers";
import { planHeadProjection, planHeadRouter, planMixtureOfHeadAttention } from "webgpu-attention/moh";
import type { MohConfig } from "../../config/model-config.js";
import { type LayerContext, rows } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import { planSteps, type Step, stepOf } from "../step.js";
import { planAnnounced } from "./output.js";
import { type HeadTensors, headTensors, planHeads, planProjections, scoreOptions } from "./softmax.js";
import type { Streams } from "./streams.js";

/** Mixture-of-head attention: a router looks at the normed stream, which the projections norm for themselves. */
export async function planMohMixer(
  layer: LayerContext,
  attention: MohConfig,
  streams: Streams,
  state: SequenceState | undefined,
): Promise<Step[]> {
  if (streams.modulation) throw notModulated(layer.index);
  const heads = headTensors(layer, attention, state);
  const { width } = layer.config;
  const input = streams.normed ? rows(layer, "normed", width) : streams.x;
  const mixed = rows(layer, "mixed", width);
  return planSteps([
    planProjections(layer, attention, streams, heads),
    ...(streams.normed ? [planInputNorm(layer, streams.x, input)] : []),
    ...planMixture(layer, attention, { heads, input, mixed }),
    planAnnounced(layer, streams, mixed),
  ]);
}

async function planInputNorm(layer: LayerContext, x: TensorView, out: TensorView): Promise<Step> {
  const { ctx, weights, config } = layer;
  const slot = `layers.${layer.index}.norm1`;
  const scale = weights.has(`${slot}.weight`) ? weights.view(`${slot}.weight`) : undefined;
  const epsilon = config.norm.eps;
  if (config.norm.kind !== "layer") {
    const tensors = { x, out, ...(scale && { scale }) };
    return stepOf(await planRmsNorm(ctx, { ...tensors, epsilon }), tensors);
  }
  const tensors = { x, out, scale: scale!, bias: weights.view(`${slot}.bias`) };
  return stepOf(await planLayerNorm(ctx, { ...tensors, epsilon }), tensors);
}

interface MixtureTensors {
  readonly heads: HeadTensors;
  /** What the router looks at. */
  readonly input: TensorView;
  /** Written. */
  readonly mixed: TensorView;
}

/** In one plan, which computes active heads only; with hooks, which act on all heads, and for q8 keys, which only softmax attention reads, in three. */
function planMixture(
  layer: LayerContext,
  attention: MohConfig,
  tensors: MixtureTensors,
): Promise<Step | Step[]>[] {
  if (layer.hooks.length > 0 || tensors.heads.keys.k.dtype === "q8")
    return planHookedMixture(layer, attention, tensors);
  const { heads, input: x, mixed: out } = tensors;
  const { sharedHeads, topK } = attention;
  const weights = { ...routerWeights(layer), ...outWeights(layer, "out", "outBias") };
  const plan = planMixtureOfHeadAttention(layer.ctx, {
    ...{ x, weights, q: heads.q, ...heads.keys, out, sharedHeads, topK },
    ...scoreOptions(layer, attention, heads.isCached),
  });
  return [
    plan.then((made) => stepOf(made, (run) => ({ x, weights, q: heads.q, ...heads.keysOf(run), out }))),
  ];
}

function planHookedMixture(
  layer: LayerContext,
  attention: MohConfig,
  { heads, input: x, mixed: out }: MixtureTensors,
): Promise<Step | Step[]>[] {
  const { ctx, batches, tokens, work } = layer;
  const { sharedHeads, topK, heads: count } = attention;
  const gates = work.view("gates", [batches, tokens, count, 1]);
  const routing = { x, gates, ...routerWeights(layer) };
  const projecting = { attended: heads.attended, gates, out, ...outWeights(layer, "weight", "bias") };
  return [
    planHeads(layer, attention, heads),
    planHeadRouter(ctx, { ...routing, heads: count, sharedHeads, topK, lists: false }).then((plan) =>
      stepOf(plan, routing),
    ),
    // Without the number of active heads no lists are needed.
    planHeadProjection(ctx, projecting).then((plan) => stepOf(plan, projecting)),
  ];
}

/** Matrices that are stored [columns, in] row by row, as [1, 1, in, columns]. */
function transposed({ shape: [, columns, , inner], ...table }: TensorView): TensorView {
  return { ...table, shape: [1, 1, inner, columns], strides: [inner * columns, inner * columns, 1, inner] };
}

function routerWeights({ weights, index }: LayerContext) {
  const part = (name: "shared" | "routed" | "balance") => {
    const slot = `layers.${index}.router.${name}`;
    return weights.has(slot) ? { [name]: transposed(weights.view(slot)) } : {};
  };
  return { ...part("shared"), ...part("routed"), ...part("balance") };
}

function outWeights<Weight extends string, Bias extends string>(
  { weights, index }: LayerContext,
  weight: Weight,
  bias: Bias,
): Record<Weight, TensorView> & Partial<Record<Bias, TensorView>> {
  const slot = `layers.${index}.out`;
  return {
    [weight]: transposed(weights.view(slot)),
    ...(weights.has(`${slot}.bias`) && { [bias]: weights.view(`${slot}.bias`) }),
  } as Record<Weight, TensorView> & Partial<Record<Bias, TensorView>>;
}

function notModulated(index: number): AttentionError {
  return new AttentionError("unsupported", {
    subject: `layer ${index}`,
    expected: "another mechanism in a diffusion transformer",
    got: "mixture-of-head attention",
    fix: "Its router would have to read modulated norms.",
  });
}
