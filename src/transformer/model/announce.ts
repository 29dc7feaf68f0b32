import type { TensorView } from "webgpu-attention";
import {
  type ActivationName,
  type AttentionSite,
  operationsAt,
  recordActivation,
} from "webgpu-attention/hooks";
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

/** A layer's site in a pass over whole inputs of so many tokens. */
export function wholeSite(
  layer: number,
  mechanism: string,
  tokens: number,
  phase: AttentionSite["phase"] = "prefill",
): AttentionSite {
  return { layer, mechanism: siteMechanism(mechanism), phase, positions: [0, tokens] };
}

/** What hooks may take a mechanism for: the heads of some have softmax inside. */
export function siteMechanism(mechanism: string): string {
  return mechanism === "sale" || mechanism === "moh" ? "softmax" : mechanism;
}

/**
 * What hooks see of a mechanism without softmax: its activations, before and behind it.
 *
 * @throws AttentionError "unsupported" for operations on its heads
 */
export function watchHeads(
  layer: LayerContext,
  { out, ...inputs }: Readonly<Record<"q" | "k" | "v" | "out", TensorView>>,
): { readonly before: Step[]; readonly after: Step[] } {
  operationsAt(layer.site, inputs, layer.hooks);
  const names = ["q", "k", "v"] as const;
  return {
    before: names.flatMap((name) => announce(layer, name, inputs[name])),
    after: announce(layer, "headOutput", out),
  };
}
