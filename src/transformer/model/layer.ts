import type { TensorView } from "webgpu-attention";
import { planLayerNorm } from "webgpu-attention/layers";
import { announce } from "./announce.js";
import { type ForwardContext, type LayerContext, rows } from "./layer-context.js";
import { planMixer } from "./mixers/index.js";
import type { Modulation } from "./mixers/streams.js";
import { planMlp } from "./mlp.js";
import type { SequenceState } from "./sequence-state.js";
import { planSteps, type Step, stepOf } from "./step.js";

/** A layer of a transformer, from "stream" to "stream". */
export async function planLayer(
  layer: LayerContext,
  state: SequenceState | undefined,
  modulations?: readonly [attention: Modulation, mlp: Modulation],
): Promise<Step[]> {
  const { width, normPlacement } = layer.config;
  const [stream, branch] = [rows(layer, "stream", width), rows(layer, "branch", width)];
  const slot = `layers.${layer.index}`;
  const modulated = (part: 0 | 1) => (modulations ? { modulation: modulations[part] } : {});
  const groups =
    normPlacement === "before"
      ? [
          planMixer(layer, { x: stream, out: branch, normed: true, ...modulated(0) }, state),
          planMlp(layer, { x: branch, out: stream, normed: true, ...modulated(1) }),
        ]
      : [
          planMixer(layer, { x: stream, out: branch, normed: false }, state),
          planNorm(layer, `${slot}.norm1`, branch, stream),
          planMlp(layer, { x: stream, out: branch, normed: false }),
          planNorm(layer, `${slot}.norm2`, branch, stream),
        ];
  const steps = await planSteps(groups);
  return [announce(layer, "residualIn", stream), ...steps, announce(layer, "residualOut", stream)].flat();
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
