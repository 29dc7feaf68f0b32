/** Next-token distributions, with and without hooks. */

export interface Candidate {
  readonly id: number;
  /** Its probability without hooks. */
  readonly plain: number;
  /** ... and with them, where there are some. */
  readonly hooked?: number;
}

/** Probabilities of logits, which stay as they are. */
export function softmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** KL divergence in bits: how surprised one who expects `after` is by what is distributed as `before`. */
export function divergence(before: Float64Array, after: Float64Array): number {
  let bits = 0;
  for (const [id, p] of before.entries()) {
    // A probability too small for a number is not impossible.
    if (p > 0) bits += p * (Math.log2(p) - Math.log2(Math.max(after[id]!, Number.MIN_VALUE)));
  }
  return Math.max(0, bits);
}

/** The likeliest tokens of either distribution, the likeliest without hooks first. */
export function candidates(plain: Float64Array, hooked: Float64Array | undefined, top: number): Candidate[] {
  const ids = new Set([...likeliest(plain, top), ...(hooked ? likeliest(hooked, top) : [])]);
  return [...ids]
    .map((id) => ({ id, plain: plain[id]!, ...(hooked && { hooked: hooked[id]! }) }))
    .sort((a, b) => b.plain - a.plain || a.id - b.id);
}

function likeliest(probabilities: Float64Array, top: number): number[] {
  const ids = Array.from(probabilities.keys());
  return ids.sort((a, b) => probabilities[b]! - probabilities[a]! || a - b).slice(0, top);
}
