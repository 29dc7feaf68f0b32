import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/**
 * Shape of a causal state, [B, 1, H, size] f32. A tensor of zeros, as `ctx.empty` makes it, is the state before the first token.
 *
 * With D and Dv rounded up to multiples of four (zeros past their end), a head has, in this order:
 *
 * - the maximum m of the scores Ô and 0, or 0 where the clamp is at most 30; the sum of e^(Ô - m); the number of tokens; 0
 * - [4, D] sums over tokens of Q, K, Q n / I and K n / O
 * - [D, Dv] the sum of K_jᵀ c_j v_j
 */
export function flowStateShape(batches: number, heads: number, headDim: number, valueDim: number): Shape4 {
  const [dim, value] = [roundedUp(headDim), roundedUp(valueDim)];
  return [batches, 1, heads, 4 + 4 * dim + dim * value];
}

function roundedUp(value: number): number {
  return 4 * Math.ceil(value / 4);
}
