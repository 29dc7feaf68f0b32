/** `3.8 MB`, of a million bytes each. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `1.87 million parameters` */
export function parameterCount(parameters: number): string {
  return `${(parameters / 1e6).toFixed(2)} million parameters`;
}

/** `1 passage`, `1,200 passages` */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
