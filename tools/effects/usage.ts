/** How a mixture's heads are used, from the gates of tokens: 0 where a head is not active. */

import { sum } from "./figures.js";

/**
 * The share of tokens that activate each head.
 *
 * @param gates [tokens, heads] of each passage
 */
export function usageOf(gates: readonly Float32Array[], heads: number): number[] {
  const counts = new Array<number>(heads).fill(0);
  let tokens = 0;
  for (const passage of gates) {
    for (const [n, gate] of passage.entries()) if (gate > 0) counts[n % heads]!++;
    tokens += passage.length / heads;
  }
  return counts.map((count) => count / tokens);
}

/**
 * 1 where all routed heads are active equally often, 0 where the same `topK` always are: one minus the distance from even use, over its largest.
 *
 * @param shares of the routed heads, which sum to `topK`
 */
export function evenness(shares: readonly number[], topK: number): number {
  const even = topK / shares.length;
  const excess = sum(shares.map((share) => Math.max(0, share - even)));
  return 1 - excess / (topK * (1 - even));
}

/** The share of active heads that would have to change for one use to become the other: total variation. */
export function distance(shares: readonly number[], others: readonly number[]): number {
  return sum(shares.map((share, head) => Math.abs(share - others[head]!))) / 2 / sum(others);
}
