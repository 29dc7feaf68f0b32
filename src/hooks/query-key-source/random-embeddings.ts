import { checkInteger, checkWithin, fail } from "../check.js";

export interface RandomEmbeddingOptions {
  readonly tokens: number;
  readonly channels: number;
  /** An integer of at least 0, of which the lower 32 bits count: the same seed gives the same embeddings. */
  readonly seed: number;
  /** Standard deviation σ. It is not published; default 0.02, what models initialise their embeddings with. */
  readonly sigma?: number;
}

/**
 * Embeddings from N(0, σ²) to take queries and keys from: what they become by running through a model's stack is the source of RndEmbQK
 * (Deconstructing Attention, arXiv 2510.11602).
 *
 * @returns [tokens, channels], for `ctx.fromArray(.., [1, tokens, 1, channels])`
 * @throws AttentionError "shape" unless sizes are integers of at least 1 and σ is a number above 0
 */
export function randomEmbeddings(options: RandomEmbeddingOptions): Float32Array<ArrayBuffer> {
  const { tokens, channels, seed, sigma = 0.02 } = options;
  checkInteger("randomEmbeddings tokens", tokens, 1);
  checkInteger("randomEmbeddings channels", channels, 1);
  checkInteger("randomEmbeddings seed", seed, 0);
  checkWithin("randomEmbeddings sigma", sigma, 0);
  if (sigma === 0)
    fail("shape", "randomEmbeddings sigma", "a number above 0", sigma, "Leave it out for 0.02.");
  const uniform = mulberry32(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float32Array.from({ length: tokens * channels }, () => sigma * normal());
}

/** Numbers in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
