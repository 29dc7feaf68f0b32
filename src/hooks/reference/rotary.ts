import type { RotaryOptions } from "webgpu-attention/softmax";

/** A query or key turned by its position, pair by pair of channels (RoFormer, equation 34). */
export function rotated(row: Float64Array, position: number, rope: RotaryOptions): Float64Array {
  const { theta = 10_000, dim = row.length, interleaved = false, frequencies } = rope;
  const turned = row.slice();
  for (let n = 0; n < dim / 2; n++) {
    const angle = position * (frequencies?.[n] ?? theta ** ((-2 * n) / dim));
    const [first, second] = interleaved ? [2 * n, 2 * n + 1] : [n, n + dim / 2];
    turned[first] = row[first]! * Math.cos(angle) - row[second]! * Math.sin(angle);
    turned[second] = row[first]! * Math.sin(angle) + row[second]! * Math.cos(angle);
  }
  return turned;
}
