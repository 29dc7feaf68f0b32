/** A dense row-major tensor [batch, tokens, heads, dim]. */
export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: readonly [number, number, number, number];
}

/** Rows of one head, [tokens] of [dim]. */
export function headRows({ data, shape }: DenseTensor, b: number, h: number): Float64Array[] {
  const [, tokens, heads, dim] = shape;
  return Array.from({ length: tokens }, (_, token) => {
    const begin = ((b * tokens + token) * heads + h) * dim;
    return Float64Array.from({ length: dim }, (_, d) => data[begin + d]!);
  });
}

/** Writes rows of one head into [batch, tokens, heads, dim]. */
export function setHeadRows(
  data: Float64Array,
  [, tokens, heads, dim]: DenseTensor["shape"],
  rows: readonly ArrayLike<number>[],
  b: number,
  h: number,
): void {
  for (const [token, row] of rows.entries()) data.set(row, ((b * tokens + token) * heads + h) * dim);
}
