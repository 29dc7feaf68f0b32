/** The share of a text's runs of so many tokens that came before in it. */
export function repetition(ids: readonly number[], run: number): number {
  const seen = new Set<string>();
  const count = ids.length - run + 1;
  for (let first = 0; first < count; first++) seen.add(ids.slice(first, first + run).join());
  return count > 0 ? 1 - seen.size / count : 0;
}
