/**
 * First, last and others in between, ascending. Steps of the golden ratio fall into step with no tile, so that samples
 * soon meet every row of a kernel's tiles.
 */
export function sampledRows(count: number, wanted: number): number[] {
  if (wanted >= count) return Array.from({ length: count }, (_, row) => row);
  const chosen = new Set([0, count - 1]);
  for (let step = 1; chosen.size < wanted; step++) {
    chosen.add(Math.floor((((step * (Math.sqrt(5) - 1)) / 2) % 1) * count));
  }
  return [...chosen].sort((a, b) => a - b);
}
