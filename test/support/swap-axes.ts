import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** Exchanges axes 1 and 2 of a dense tensor: [B, H, N, D] files and [B, N, H, D] arrays. */
export function swapAxes(source: ArrayLike<number>, [, x, y, d]: Shape4): Float64Array {
  const swapped = new Float64Array(source.length);
  for (let i = 0; i < source.length; i++) {
    const [row, at] = [Math.floor(i / d), i % d];
    const [batch, first, second] = [Math.floor(row / (x * y)), Math.floor(row / y) % x, row % y];
    swapped[((batch * y + second) * x + first) * d + at] = source[i]!;
  }
  return swapped;
}
