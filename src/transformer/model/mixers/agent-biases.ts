import type { AttentionContext } from "webgpu-attention";
import { bakeAgentBiases } from "webgpu-attention/agent";
import type { AgentConfig, ImageConfig } from "../../config/model-config.js";
import type { ModelWeights } from "../../weights/model-weights.js";
import type { LayerContext } from "../layer-context.js";

/** [heads, agents, tokens] and [heads, tokens, agents] */
export type AgentBiases = ReturnType<typeof bakeAgentBiases>;

/** By model, then by layer: they depend on weights alone, and are read back once. */
const baked = new WeakMap<ModelWeights, Map<number, Promise<AgentBiases>>>();

/** Learned biases as the grid of this model has them. */
export function agentBiases(
  { ctx, weights, index }: LayerContext,
  attention: AgentConfig,
  image: ImageConfig,
): Promise<AgentBiases> {
  const layers = baked.get(weights) ?? new Map<number, Promise<AgentBiases>>();
  baked.set(weights, layers);
  const known = layers.get(index);
  if (known) return known;
  const made = bake(ctx, { weights, index }, attention, image);
  layers.set(index, made);
  made.catch(() => layers.delete(index));
  return made;
}

async function bake(
  ctx: AttentionContext,
  { weights, index }: Pick<LayerContext, "weights" | "index">,
  { heads, agents }: AgentConfig,
  { size, patch, extraTokens }: ImageConfig,
): Promise<AgentBiases> {
  const read = (part: string) => ctx.read(weights.view(`layers.${index}.agent.${part}`));
  const [anBias, naBias, ahBias, awBias, haBias, waBias] = await Promise.all(
    ["an_bias", "na_bias", "ah_bias", "aw_bias", "ha_bias", "wa_bias"].map(read),
  );
  const ofClass = extraTokens > 0 ? { acBias: await read("ac_bias"), caBias: await read("ca_bias") } : {};
  const side = size / patch;
  return bakeAgentBiases(
    {
      ...{ anBias: anBias!, naBias: naBias!, ahBias: ahBias! },
      ...{ awBias: awBias!, haBias: haBias!, waBias: waBias!, ...ofClass },
    },
    { heads, agents, grid: [side, side] },
  );
}
