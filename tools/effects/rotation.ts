import type { RopeTable } from "webgpu-attention/transformer";

/**
 * q or k after rotary embedding, for what takes them rotated. Channel c turns with channel c + dim / 2 by the angle position · frequency.
 *
 * @param rows [tokens, heads, headDim], of tokens at positions 0, 1, ...
 * @param dim channels of a head that turn
 */
export function rotated(
  rows: Float32Array,
  { heads, headDim, dim }: { readonly heads: number; readonly headDim: number; readonly dim: number },
  { frequencies }: Pick<RopeTable, "frequencies">,
): Float32Array {
  const result = rows.slice();
  const half = dim / 2;
  for (let first = 0, row = 0; first < rows.length; first += headDim, row++) {
    const position = Math.floor(row / heads);
    for (let c = 0; c < half; c++) {
      const angle = position * frequencies[c]!;
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      const [a, b] = [rows[first + c]!, rows[first + c + half]!];
      result[first + c] = a * cos - b * sin;
      result[first + c + half] = b * cos + a * sin;
    }
  }
  return result;
}
