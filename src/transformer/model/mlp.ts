import { planMatmul } from "webgpu-attention/layers";
import { type LayerContext, linearWeights, normOptions, rows } from "./layer-context.js";
import type { Streams } from "./mixers/streams.js";
import { planSteps, type Step, stepOf } from "./step.js";

/** The channel part of a layer: out = x + down(activation(up(norm(x)))), or with a gate. Two dispatches. */
export async function planMlp(layer: LayerContext, { x, out, normed }: Streams): Promise<Step[]> {
  const { ctx, config, index } = layer;
  const { hidden, activation, gated } = config.layers[index]!.mlp;
  const slot = `layers.${index}`;
  const wide = rows(layer, "hidden", hidden);
  const up = planMatmul(ctx, {
    ...{ x, out: wide, activation, gated, ...linearWeights(layer, `${slot}.${gated ? "gateUp" : "up"}`) },
    ...(normed && { norm: normOptions(layer, `${slot}.norm2`) }),
  });
  const down = planMatmul(ctx, { x: wide, out, residual: x, ...linearWeights(layer, `${slot}.down`) });
  return planSteps([
    up.then((plan) => stepOf(plan, { x, out: wide })),
    down.then((plan) => stepOf(plan, { x: wide, out, residual: x })),
  ]);
}
