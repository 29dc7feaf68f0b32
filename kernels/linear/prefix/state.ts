import type { Shape4 } from "../../../src/dispatch/tensor-view.js";

/**
 * Shape of the state of prefix softmax, [B, 1, H, 4 + Dv rounded up to a multiple of four] f32. A tensor of zeros, as `ctx.empty` makes it,
 * is the state before the first token.
 *
 * A head has the largest score m so far, the sum of e^(s - m), two zeros, and the sum of e^(s - m) v, with zeros past its end. Scores may thus be of
 * any size.
 */
export function prefixSoftmaxStateShape(batches: number, heads: number, valueDim: number): Shape4 {
  return [batches, 1, heads, 4 + 4 * Math.ceil(valueDim / 4)];
}
