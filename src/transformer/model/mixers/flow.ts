import { planFlowAttention } from "webgpu-attention/flow";
import { planMatmul } from "webgpu-attention/layers";
import type { FlowConfig } from "../../config/model-config.js";
import { watchHeads } from "../announce.js";
import { type LayerContext, linearWeights, rows } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import { planSteps, type Step, stepOf } from "../step.js";
import { headsOf, turnsOf } from "./recurrent.js";
import { planOut } from "./softmax.js";
import { type Streams, takeStream } from "./streams.js";

/** Flow attention between a projection to q, k, v and one back. */
export async function planFlowMixer(
  layer: LayerContext,
  attention: FlowConfig,
  streams: Streams,
  state: SequenceState | undefined,
): Promise<Step[]> {
  const { heads, headDim } = attention;
  const slot = `layers.${layer.index}`;
  const projected = rows(layer, "projected", 3 * heads * headDim);
  const attended = layer.work.view("attended", [layer.batches, layer.tokens, heads, headDim]);
  const { options, tensors: taken } = takeStream(layer, streams, `${slot}.norm1`);
  const project = () =>
    planMatmul(layer.ctx, {
      ...{ ...options, out: projected, ...linearWeights(layer, `${slot}.qkv`) },
    });
  const [q, k, v] = [0, 1, 2].map((n) => headsOf(projected, heads, headDim, n)) as [
    typeof projected,
    typeof projected,
    typeof projected,
  ];
  const tensors = (run: SequenceState | undefined) => ({
    ...{ q, k, v, out: attended },
    ...(state && turnsOf(layer, run)),
  });
  const { before, after } = watchHeads(layer, { q, k, v, out: attended });
  const { causal, clamp, eps: epsilon, variant } = attention;
  const attend = () => planFlowAttention(layer.ctx, { ...tensors(state), causal, clamp, epsilon, variant });
  return planSteps([
    project().then((plan) => stepOf(plan, { ...taken, out: projected })),
    Promise.resolve(before),
    attend().then((plan) => stepOf(plan, tensors)),
    Promise.resolve(after),
    planOut(layer, attention, streams, attended),
  ]);
}
