import type { LayerContext } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import type { Step } from "../step.js";
import { planAgentMixer } from "./agent.js";
import { planFlowMixer } from "./flow.js";
import { planLightningMixer } from "./lightning.js";
import { planMohMixer } from "./moh.js";
import { planSaleMixer } from "./sale.js";
import { planSoftmaxMixer } from "./softmax.js";
import type { Streams } from "./streams.js";

/** The attention of a layer, whatever its mechanism: out = x + attention(norm(x)). */
export function planMixer(
  layer: LayerContext,
  streams: Streams,
  state: SequenceState | undefined,
): Promise<Step[]> {
  const { attention } = layer.config.layers[layer.index]!;
  switch (attention.mechanism) {
    case "softmax":
      return planSoftmaxMixer(layer, attention, streams, state);
    case "lightning":
      return planLightningMixer(layer, attention, streams, state);
    case "flow":
      return planFlowMixer(layer, attention, streams, state);
    case "moh":
      return planMohMixer(layer, attention, streams, state);
    case "agent":
      return planAgentMixer(layer, attention, streams);
    case "sale":
      return planSaleMixer(layer, attention, streams, state);
  }
}
