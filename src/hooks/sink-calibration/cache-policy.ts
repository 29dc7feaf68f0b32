import { checkInteger, checkKnown, fail } from "../check.js";

export interface CachePolicy {
  /** Keys at the start that always stay: the sinks. Default 4. */
  readonly firstKeys?: number;
  /** Newest keys that stay. Default 512. */
  readonly window?: number;
}

/**
 * Which slots of a key-value cache stay when more tokens are about to be appended (StreamingLLM, arXiv 2309.17453): the first
 * few and the most recent, so that the cache never exceeds `firstKeys + window` afterwards.
 *
 * Keys are cached before rotary embedding; a key's position is then its index in the cache (`cachePositions`), not in the text.
 *
 * @param length slots in use
 * @param incoming tokens that will be appended. Default 1.
 * @returns ranges of slots to keep, [begin, end), ascending, none empty
 * @throws AttentionError "shape" for sizes that are no integers or more tokens at once than the window holds.
 */
export function keptSlots(
  length: number,
  incoming = 1,
  policy: CachePolicy = {},
): readonly (readonly [begin: number, end: number])[] {
  checkKnown("keptSlots", policy, ["firstKeys", "window"]);
  const { firstKeys = 4, window = 512 } = policy;
  checkInteger("length", length, 0);
  checkInteger("incoming", incoming, 0);
  checkInteger("firstKeys", firstKeys, 0);
  checkInteger("window", window, 1);
  if (length + incoming <= firstKeys + window) return ranges([[0, length]]);
  if (incoming > window) {
    const fix = "Append longer texts in pieces, or make the window larger.";
    fail("shape", "incoming", `at most the window of ${window}`, incoming, fix);
  }
  // What was evicted before leaves fewer slots than the window has room for.
  const recent = Math.max(firstKeys, length - (window - incoming));
  return ranges([
    [0, Math.min(firstKeys, length)],
    [recent, length],
  ]);
}

/** Slots that touch are one range. */
function ranges(given: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const filled = given.filter(([begin, end]) => end > begin);
  const [first, second] = filled;
  return first && second && first[1] === second[0] ? [[first[0], second[1]]] : filled;
}

/** What belongs to the slots that stay (received sums, token ids), in order. */
export function keepSlots<Value>(
  values: readonly Value[],
  kept: readonly (readonly [begin: number, end: number])[],
): Value[] {
  return kept.flatMap(([begin, end]) => values.slice(begin, end));
}

/** Rotary positions after appending: keys count by their place in the cache (end exclusive), queries stand at its end. */
export function cachePositions(
  length: number,
  queries = 1,
): { readonly keys: readonly [begin: number, end: number]; readonly firstQuery: number } {
  checkInteger("length", length, 1);
  checkInteger("queries", queries, 1);
  if (queries > length) fail("shape", "queries", `at most ${length}`, queries, "Append their keys first.");
  return { keys: [0, length], firstQuery: length - queries };
}
