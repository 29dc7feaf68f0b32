import { checkNumber, fail } from "../../src/dispatch/check.js";

/** Options of `agentAttention` that make an ordinary attention layer an agent attention layer without training. */
export interface DiffusionAgents {
  readonly scale: number;
  readonly secondScale: number;
  readonly shortcut: number;
}

/**
 * The training-free form for Stable Diffusion (AgentSD of arXiv 2312.08874, as in the authors' `agentsd/patch.py`): agents
 * are merged tokens put through the same query projection, secondScale = scale^secondScaleExponent, and a share of V is added.
 *
 * @param sizes.tokens N, of queries and keys alike
 * @param sizes.agents n
 * @param options.secondScaleExponent `k_scale2`, default 0.3
 * @param options.shortcut `k_shortcut`, default 0.075
 * @returns options for `agentAttention`, or undefined unless 2n < N: then use `softmaxAttention`, which does less work
 * @throws AttentionError "shape"
 */
export function diffusionAgents(
  sizes: { readonly tokens: number; readonly agents: number; readonly headDim: number },
  options: { readonly secondScaleExponent?: number; readonly shortcut?: number } = {},
): DiffusionAgents | undefined {
  for (const [name, size] of Object.entries(sizes)) {
    if (Number.isSafeInteger(size) && size >= 1) continue;
    fail("shape", name, "an integer of at least 1", size, "It is a number of tokens, agents or channels.");
  }
  const { secondScaleExponent = 0.3, shortcut = 0.075 } = options;
  checkNumber("secondScaleExponent", secondScaleExponent);
  checkNumber("shortcut", shortcut);
  if (2 * sizes.agents >= sizes.tokens) return undefined;
  const scale = 1 / Math.sqrt(sizes.headDim);
  return { scale, secondScale: scale ** secondScaleExponent, shortcut };
}
