import type { KeySet, RowSet } from "./operations.js";

/** The keys of a set that a sequence of so many keys has, ascending, each once. */
export function keysOf(set: KeySet, keys: number): number[] {
  if ("keys" in set)
    return [...new Set(set.keys)].filter((key) => key >= 0 && key < keys).sort((a, b) => a - b);
  const [begin, end] = set.range;
  const first = Math.max(0, begin);
  return Array.from({ length: Math.max(0, Math.min(end, keys) - first) }, (_, index) => first + index);
}

/** Whether a row belongs to a set of rows, given how many rows there are and the row's position among the keys. */
export function hasRow(rows: RowSet, row: number, count: number, position: number): boolean {
  if (rows === "all") return true;
  return rows === "last" ? row === count - 1 : position >= rows.from;
}
