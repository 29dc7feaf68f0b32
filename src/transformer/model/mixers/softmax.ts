import type { TensorView } from "webgpu-attention";
import { planHookedAttention } from "webgpu-attention/hooks";
import { planMatmul, planQkv } from "webgpu-attention/layers";
import { planSoftmaxAttention, type SoftmaxPlan, type SoftmaxProblem } from "webgpu-attention/softmax";
import type { SoftmaxConfig } from "../../config/model-config.js";
import { ropeTable } from "../../config/rope.js";
import { type LayerContext, linearWeights } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import { planSteps, type Step, stepOf } from "../step.js";
import { planSinkSearch } from "./find-sinks.js";
import { planOutput } from "./output.js";
import { type Streams, takeStream } from "./streams.js";

type Scored = Omit<SoftmaxConfig, "mechanism">;

/** Projections, attention as hooks want it, and the projection back: four dispatches of a decode step. */
export function planSoftmaxMixer(
  layer: LayerContext,
  attention: Scored,
  streams: Streams,
  state: SequenceState | undefined,
): Promise<Step[]> {
  const heads = headTensors(layer, attention, state);
  return planSteps([
    planProjections(layer, attention, streams, heads),
    planHeads(layer, attention, heads),
    planOut(layer, attention, streams, heads.attended),
  ]);
}

/** q, k and v of a layer, and what attention makes of them. */
export interface HeadTensors {
  readonly q: TensorView;
  readonly attended: TensorView;
  /** Layouts of k and v. */
  readonly keys: Keys;
  /** Those of a run: of the sequences' cache, or of this pass alone. */
  readonly keysOf: (state: SequenceState | undefined) => Keys;
  readonly isCached: boolean;
}

type Keys = Readonly<Record<"k" | "v", TensorView>>;

export function headTensors(
  { work, batches, tokens, index }: LayerContext,
  { heads, kvHeads, headDim }: Pick<Scored, "heads" | "kvHeads" | "headDim">,
  state: SequenceState | undefined,
): HeadTensors {
  const q = work.view("q", [batches, tokens, heads, headDim]);
  const attended = work.view("attended", [batches, tokens, heads, headDim]);
  const cached = (run: SequenceState | undefined): Keys => {
    const kept = run?.layers[index];
    if (kept?.kind !== "cache") throw new TypeError(`layer ${index} has no cache`);
    return { k: kept.k, v: kept.v };
  };
  if (state) return { q, attended, keys: cached(state), keysOf: cached, isCached: true };
  const shape = [batches, tokens, kvHeads, headDim] as const;
  const own = { k: work.view("k", shape), v: work.view("v", shape) };
  return { q, attended, keys: own, keysOf: () => own, isCached: false };
}

export async function planProjections(
  layer: LayerContext,
  { headNormEps }: Pick<Scored, "headNormEps">,
  streams: Streams,
  { q, keys, keysOf, isCached }: HeadTensors,
): Promise<Step> {
  const slot = `layers.${layer.index}`;
  const { weights, lengths } = layer;
  const { options, tensors } = takeStream(layer, streams, `${slot}.norm1`);
  const plan = await planQkv(layer.ctx, {
    ...{ ...options, q, ...keys, ...linearWeights(layer, `${slot}.qkv`) },
    ...(headNormEps !== undefined && {
      queryNorm: weights.view(`${slot}.qNorm.weight`),
      keyNorm: weights.view(`${slot}.kNorm.weight`),
      headEpsilon: headNormEps,
    }),
    ...(isCached && lengths && { lengths }),
  });
  return stepOf(plan, (run) => ({ ...tensors, q, ...keysOf(run) }));
}

export async function planHeads(
  layer: LayerContext,
  attention: Scored,
  { q, attended, keys, keysOf, isCached }: HeadTensors,
): Promise<Step[]> {
  const { ctx, hooks, site, work, batches, tokens } = layer;
  const problem: SoftmaxProblem = { q, ...keys, out: attended, ...scoreOptions(layer, attention, isCached) };
  if (hooks.length === 0) {
    const plan = await planShared(layer, attention, problem);
    return [stepOf(plan, (run) => ({ q, ...keysOf(run), out: attended }))];
  }
  const lse = work.view("lse", [batches, tokens, attention.heads, 1]);
  const { given, tensors, before, after } = planSinkSearch(layer, { q, k: keys.k, isCached });
  const plan = await planHookedAttention(ctx, site, { ...problem, lse, ...given }, hooks);
  const attend = stepOf(plan, (run) => ({ q, ...keysOf(run), out: attended, lse, ...tensors(run) }));
  return [...before, attend, ...after(plan)];
}

/** One plan for all layers that attend alike: what it copies when it is recorded, such as lengths, is copied once. */
function planShared(
  { ctx, attentionPlans }: LayerContext,
  attention: Scored,
  problem: SoftmaxProblem,
): Promise<SoftmaxPlan> {
  const key = JSON.stringify(attention);
  const plan = attentionPlans?.get(key) ?? planSoftmaxAttention(ctx, problem);
  attentionPlans?.set(key, plan);
  return plan;
}

/** Everything but the tensors. */
export function scoreOptions(
  { lengths, keyMask, context }: Pick<LayerContext, "lengths" | "keyMask" | "context">,
  { causal, scale, rope, window }: Scored,
  isCached: boolean,
): Omit<SoftmaxProblem, "q" | "k" | "v" | "out" | "lse"> {
  const table = rope && ropeTable(rope, context);
  return {
    causal,
    scale: scale * (table?.attentionFactor ?? 1) ** 2,
    ...(rope && {
      rope: { dim: rope.dim, interleaved: rope.interleaved, frequencies: table!.frequencies },
    }),
    ...(window !== undefined && { window: { left: window - 1 } }),
    ...(isCached && lengths && { keyLengths: lengths, queryOffset: "end" as const }),
    ...(keyMask && { keyMask }),
  };
}

export function planOut(
  layer: LayerContext,
  { heads, headDim }: Pick<Scored, "heads" | "headDim">,
  streams: Streams,
  attended: TensorView,
): Promise<Step[]> {
  const { ctx, batches, tokens, index } = layer;
  const x = { ...attended, shape: [batches, tokens, 1, heads * headDim] as const };
  return planOutput(layer, streams, async (target) => {
    const plan = await planMatmul(ctx, { x, ...target, ...linearWeights(layer, `layers.${index}.out`) });
    return stepOf(plan, { x, ...target });
  });
}
