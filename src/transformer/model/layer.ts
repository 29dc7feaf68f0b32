import type { TensorView } from "webgpu-attention";
import { type ActivationName, recordActivation } from "webgpu-attention/hooks";
import { planLayerNorm } from "webgpu-attention/layers";
import { type ForwardContext, type LayerContext, rows } from "./layer-context.js";
import { planMixer } from "./mixers/index.js";
import { planMlp } from "./mlp.js";
import type { SequenceState } from "./sequence-state.js";
import { planSteps, recordStep, type Step, stepOf } from "./step.js";

/** A layer of a transformer, from "stream" to "stream". */
export async function planLayer(layer: LayerContext, state: SequenceState | undefined): Promise<Step[]> {
  const { width, normPlacement } = layer.config;
  const [stream, branch] = [rows(layer, "stream", width), rows(layer, "branch", width)];
  const slot = `layers.${layer.index}`;
  const groups =
    normPlacement === "before"
      ? [
          planMixer(layer, { x: stream, out: branch, normed: true }, state),
          planMlp(layer, { x: branch, out: stream, normed: true }),
        ]
      : [
          planMixer(layer, { x: stream, out: branch, normed: false }, state),
          planNorm(layer, `${slot}.norm1`, branch, stream),
          planMlp(layer, { x: stream, out: branch, normed: false }),
          planNorm(layer, `${slot}.norm2`, branch, stream),
        ];
  const steps = await planGroups(groups);
  return [announce(layer, "residualIn", stream), ...steps, announce(layer, "residualOut", stream)].flat();
}

/** Groups that compile side by side; all of them or none. */
export async function planGroups(groups: readonly Promise<Step[]>[]): Promise<Step[]> {
  const settled = await Promise.allSettled(groups);
  const steps = settled.flatMap((group) => (group.status === "fulfilled" ? group.value : []));
  const failed = settled.find((group) => group.status === "rejected");
  if (!failed) return steps;
  for (const step of steps) step.destroy();
  throw failed.reason;
}

export function planNorm(
  layer: ForwardContext,
  slot: string,
  x: TensorView,
  out: TensorView,
): Promise<Step[]> {
  const { weights, config, ctx } = layer;
  const [scale, bias] = [weights.view(`${slot}.weight`), weights.view(`${slot}.bias`)];
  const plan = planLayerNorm(ctx, { x, scale, bias, out, epsilon: config.norm.eps });
  return planSteps([plan.then((made) => stepOf(made, { x, scale, bias, out }))]);
}

/** Nothing where nobody listens. */
export function announce({ hooks, site }: LayerContext, name: ActivationName, tensor: TensorView): Step[] {
  if (!hooks.some((hook) => hook.activation)) return [];
  return [recordStep((encoder) => recordActivation(hooks, site, name, encoder, tensor))];
}
