import type { TensorView } from "webgpu-attention";
import { type ActivationName, recordActivation } from "webgpu-attention/hooks";
import type { LayerContext } from "./layer-context.js";
import { recordStep, type Step } from "./step.js";

/** Whether a hook asks for activations. */
export function isListening({ hooks }: Pick<LayerContext, "hooks">): boolean {
  return hooks.some((hook) => hook.activation);
}

/** Tells hooks of an activation, before anything reads it. Nothing where nobody listens. */
export function announce(
  layer: Pick<LayerContext, "hooks" | "site">,
  name: ActivationName,
  tensor: TensorView,
): Step[] {
  if (!isListening(layer)) return [];
  const { hooks, site } = layer;
  return [recordStep((encoder) => recordActivation(hooks, site, name, encoder, tensor))];
}
