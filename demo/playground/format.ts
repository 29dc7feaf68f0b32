const UNITS = ["", "k", "M", "G", "T"] as const;

/** `1.23 M`: three figures and a decimal prefix. */
export function withPrefix(value: number, unit: string): string {
  const power = value < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** power;
  return `${figures(scaled)} ${UNITS[power]}${unit}`;
}

/** Milliseconds or seconds, whichever reads better. */
export function duration(milliseconds: number): string {
  if (milliseconds >= 10_000) return `${figures(milliseconds / 1000)} s`;
  return milliseconds >= 0.1 ? `${figures(milliseconds)} ms` : `${figures(milliseconds * 1000)} µs`;
}

/** `3.1e-7`; a power of ten has no fraction. */
export function scientific(value: number): string {
  if (!Number.isFinite(value)) return "∞";
  if (value === 0) return "0";
  return value.toExponential(1).replace(".0e", "e");
}

/** Three significant figures, integers in full. */
function figures(value: number): string {
  if (Number.isInteger(value) || value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}
