/** What is said of numbers: means, spreads, and how they are written. */

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let n = 0; n < values.length; n++) total += values[n]!;
  return total;
}

export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** Sample standard deviation; NaN of one value, which has none. */
export function deviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(sum(values.map((value) => (value - center) ** 2)) / (values.length - 1));
}

export interface Format {
  /** Decimals. Default 3. */
  readonly digits?: number;
  /** Whether what is above 0 gets a plus sign. Default false. */
  readonly signed?: boolean;
  /** Written in hundredths. Default false. */
  readonly percent?: boolean;
}

/** A number as it is written, without its unit. */
function digitsOf(value: number, { digits = 3, signed = false, percent = false }: Format): string {
  const text = (percent ? 100 * value : value).toFixed(digits);
  const written = Number(text) === 0 ? text.replace("-", "") : text;
  return signed && Number(text) > 0 ? `+${written}` : written;
}

/** "mean ± deviation" over seeds; of one seed the number alone. */
export function spread(values: readonly number[], format: Format = {}): string {
  const center = digitsOf(mean(values), format);
  const unit = format.percent ? " %" : "";
  if (values.length < 2) return `${center}${unit}`;
  return `${center} ± ${digitsOf(deviation(values), { ...format, signed: false })}${unit}`;
}
