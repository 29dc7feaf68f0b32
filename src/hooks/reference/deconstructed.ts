// Attention with one of its parts taken away (Deconstructing Attention, arXiv 2510.11602). Rows of one head.
import { type AttentionMap, mapOfWeights, softmaxMap } from "./attention-map.js";

/**
 * Non-approximate form: a key's score does not depend on the query, s_j = SiLU(q_j) · k_j / √D, and each output is a softmax over
 * the keys so far.
 *
 * @param q before the activation
 */
export function prefixSoftmaxMap(q: readonly Float64Array[], k: readonly Float64Array[]): AttentionMap {
  const ofKey = k.map((key, j) => dot(q[j]!.map(silu), key) / Math.sqrt(key.length));
  const tokens = k.length;
  const scores = Float64Array.from({ length: tokens * tokens }, (_, index) => {
    const [i, j] = [Math.floor(index / tokens), index % tokens];
    return j <= i ? ofKey[j]! : -Infinity;
  });
  return softmaxMap(scores, { queries: tokens, keys: tokens, offset: 0 });
}

/**
 * Second-order Taylor form: weights 1 + x + x² / 2 with x = q · k / √D, causal, normalised jointly (equation 6; the recurrent
 * form in the paper's appendix normalises each order by itself, which is another function).
 */
export function taylorMap(q: readonly Float64Array[], k: readonly Float64Array[]): AttentionMap {
  const tokens = k.length;
  const weights = new Float64Array(tokens * tokens);
  for (let i = 0; i < tokens; i++) {
    for (let j = 0; j <= i; j++) {
      const x = dot(q[i]!, k[j]!) / Math.sqrt(k[j]!.length);
      weights[i * tokens + j] = 1 + x + (x * x) / 2;
    }
    const row = weights.subarray(i * tokens, (i + 1) * tokens);
    const sum = row.reduce((a, b) => a + b);
    for (let j = 0; j <= i; j++) row[j]! /= sum;
  }
  return mapOfWeights(weights, tokens);
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, d) => sum + x * b[d]!, 0);
}
