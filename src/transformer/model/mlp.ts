import { planMatmul } from "webgpu-attention/layers";
import { type LayerContext, linearWeights, rows } from "./layer-context.js";
import { addToStream, type Streams, takeStream } from "./mixers/streams.js";
import { planSteps, type Step, stepOf } from "./step.js";

/** The channel part of a layer: out = x + down(activation(up(norm(x)))), or with a gate. Two dispatches. */
export async function planMlp(layer: LayerContext, streams: Streams): Promise<Step[]> {
  const { ctx, config, index } = layer;
  const { hidden, activation, gated } = config.layers[index]!.mlp;
  const slot = `layers.${index}`;
  const wide = rows(layer, "hidden", hidden);
  const { options, tensors } = takeStream(layer, streams, `${slot}.norm2`);
  const weights = linearWeights(layer, `${slot}.${gated ? "gateUp" : "up"}`);
  const added = addToStream(streams);
  const back = linearWeights(layer, `${slot}.down`);
  const up = planMatmul(ctx, { ...options, out: wide, activation, gated, ...weights });
  const down = planMatmul(ctx, { x: wide, ...added, ...back });
  return planSteps([
    up.then((plan) => stepOf(plan, { ...tensors, out: wide })),
    down.then((plan) => stepOf(plan, { x: wide, ...added })),
  ]);
}
