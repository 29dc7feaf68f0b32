export interface Difference {
  readonly maxAbsolute: number;
  /** Largest absolute error over the largest finite reference value (or over 1 where the reference is all zeros). */
  readonly maxRelative: number;
}

/** Compares element by element. Equal infinities match; a NaN on either side is an infinite error. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length)
    throw new Error(`${actual.length} values against ${expected.length}`);
  let maxAbsolute = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (Number.isFinite(e)) largest = Math.max(largest, Math.abs(e));
    if (a === e) continue;
    const error = Math.abs(a - e);
    maxAbsolute = Math.max(maxAbsolute, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }
  return { maxAbsolute, maxRelative: maxAbsolute / (largest || 1) };
}
