/** Indices by descending value; equals stay in ascending order of index. */
export function descending(values: ArrayLike<number>, among?: readonly number[]): number[] {
  const indices = among ? [...among] : Array.from({ length: values.length }, (_, index) => index);
  return indices.sort((a, b) => values[b]! - values[a]! || a - b);
}

/** As `descending`, from the smallest. */
export function ascending(values: ArrayLike<number>, among?: readonly number[]): number[] {
  const indices = among ? [...among] : Array.from({ length: values.length }, (_, index) => index);
  return indices.sort((a, b) => values[a]! - values[b]! || a - b);
}

/** ⌈share · count⌉, where a product such as 0.3 · 10 = 3.0000000000000004 counts as what it means. */
export function shareOf(share: number, count: number): number {
  return Math.max(0, Math.ceil(share * count - 1e-9));
}

/** The mean of the middle two where their number is even. NaN for none. */
export function median(values: ArrayLike<number>): number {
  const sorted = Array.from(values).sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}
