import { AttentionError } from "webgpu-attention";
import { operationsAt } from "webgpu-attention/hooks";
import type { LayerContext } from "../layer-context.js";

/** What a layer's hooks want to find sinks by. */
export interface SinkSources {
  /** Whether some shift looks at what keys receive, and some at hidden states. */
  readonly received: boolean;
  readonly hidden: boolean;
}

export function sinkSources(layer: LayerContext, problem: Parameters<typeof operationsAt>[1]): SinkSources {
  const maps = operationsAt(layer.site, problem, layer.hooks) ?? [];
  const operations = maps.flatMap((map) => [...map.values()].flat());
  const finds = (name: "received" | "hidden") =>
    operations.some((operation) => operation.kind === "shift" && name in operation.sinks);
  return { received: finds("received"), hidden: finds("hidden") };
}

/**
 * Sinks that are found in the text have to be found in all of it: a pass over some more tokens sees neither what earlier queries gave to a key nor
 * earlier hidden states.
 *
 * @throws AttentionError "unsupported"
 */
export function checkSeesText({ site }: LayerContext, { received, hidden }: SinkSources): void {
  if (!received && !hidden) return;
  throw new AttentionError("unsupported", {
    subject: `a shift of layer ${site.layer} in a pass that continues a text`,
    expected: "sinks that are named: { keys }",
    got: `sinks by ${received ? "received weight" : "hidden states"}, which the whole text decides`,
    fix: "Look at the text with logits() first, and name the sinks that were found.",
  });
}
