/** Who sees whom. */
export interface MaskOptions {
  readonly causal?: boolean;
  /** Keys visible on either side of the query's position, itself not counted; default all. */
  readonly window?: { readonly left?: number; readonly right?: number };
  /** The first keys are visible whatever the window says (but not before their time, if causal): StreamingLLM's prefill. */
  readonly firstKeys?: number;
  /** Position of query row 0 among the keys; default Tk − Tq. "end": keyLengths[b] − Tq. */
  readonly queryOffset?: number | "end";
  /** [B] first visible key; default 0. */
  readonly keyStarts?: ArrayLike<number>;
  /** [B] one past the last visible key; default Tk. */
  readonly keyLengths?: ArrayLike<number>;
  /** [B, Tk] nonzero = visible. */
  readonly keyMask?: ArrayLike<number>;
}

export function positionOf(mask: MaskOptions, keys: number, queries: number, b: number, i: number): number {
  const { queryOffset, keyLengths } = mask;
  if (queryOffset === "end") return i + (keyLengths?.[b] ?? keys) - queries;
  return i + (queryOffset ?? keys - queries);
}

export function isVisible(
  mask: MaskOptions,
  keys: number,
  queries: number,
  b: number,
  i: number,
  j: number,
): boolean {
  const { causal = false, window = {}, firstKeys = 0, keyStarts, keyLengths, keyMask } = mask;
  const position = positionOf(mask, keys, queries, b, i);
  if (causal && j > position) return false;
  if (keyStarts && j < keyStarts[b]!) return false;
  if (keyLengths && j >= keyLengths[b]!) return false;
  if (keyMask && !keyMask[b * keys + j]) return false;
  if (j < firstKeys) return true;
  const { left = Infinity, right = Infinity } = window;
  return j >= position - left && j <= position + right;
}
