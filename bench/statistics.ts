/** Five numbers of a set of samples, in the samples' unit. */
export interface Summary {
  readonly min: number;
  readonly lowerQuartile: number;
  readonly median: number;
  readonly upperQuartile: number;
  readonly max: number;
}

/** @throws Error for no samples at all */
export function summarise(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new Error("no samples to summarise");
  const sorted = [...samples].sort((a, b) => a - b);
  return {
    min: sorted[0]!,
    lowerQuartile: quantile(sorted, 0.25),
    median: quantile(sorted, 0.5),
    upperQuartile: quantile(sorted, 0.75),
    max: sorted.at(-1)!,
  };
}

export function median(samples: readonly number[]): number {
  return summarise(samples).median;
}

/**
 * Median of the ratios a / b, round by round: unlike the ratio of two medians it compares neighbours in time, so that a
 * load which comes and goes between rounds falls out.
 */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new Error(`${a.length} rounds against ${b.length}`);
  return median(a.map((value, round) => value / b[round]!));
}

/** Linear between the two samples on either side. */
function quantile(sorted: readonly number[], fraction: number): number {
  const position = (sorted.length - 1) * fraction;
  const below = Math.floor(position);
  const above = Math.ceil(position);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (position - below);
}
