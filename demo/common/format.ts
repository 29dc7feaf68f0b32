/** `3.8 MB`, of a million bytes each. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `1.87 million parameters` */
export function parameterCount(parameters: number): string {
  return `${(parameters / 1e6).toFixed(2)} million parameters`;
}
