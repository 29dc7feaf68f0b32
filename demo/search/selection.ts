/**
 * At most `limit` of the items: the opening fifth of them from the start without gaps, the others evenly spread over the rest,
 * the last item included. So a book's beginning, which people know and ask for, is searched whole, and no part of it is left out.
 * Order is kept. `limit` is a positive integer or `Infinity`.
 */
export function selectSpread<T>(items: readonly T[], limit: number): T[] {
  if (items.length <= limit) return [...items];
  const opening = Math.floor(limit / 5);
  const spread = limit - opening;
  const rest = items.length - opening;
  const chosen = items.slice(0, opening);
  for (let i = 0; i < spread; i++) {
    // Cell i of `spread` equal cells; its end, so that the last cell gives the last item.
    chosen.push(items[opening + Math.floor(((i + 1) * rest) / spread) - 1]!);
  }
  return chosen;
}
