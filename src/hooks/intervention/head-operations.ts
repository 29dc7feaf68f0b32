import { fail } from "../check.js";
import type { HeadOperation } from "../operations.js";

/** By query head, in the order in which they are applied; heads that are not listed are left alone. */
export type HeadOperations = ReadonlyMap<number, HeadOperation | readonly HeadOperation[]>;

/** The operations of one batch entry, each head's as a list. */
export type ListedOperations = ReadonlyMap<number, readonly HeadOperation[]>;

/**
 * One map for each batch entry.
 *
 * @param given the same for all, or one for each
 * @throws AttentionError "shape" for another number of maps, or heads that are not there
 */
export function operationsOfEntries(
  given: HeadOperations | readonly HeadOperations[],
  batches: number,
  heads: number,
): readonly ListedOperations[] {
  const maps = Array.isArray(given)
    ? (given as readonly HeadOperations[])
    : Array<HeadOperations>(batches).fill(given as HeadOperations);
  if (maps.length !== batches) {
    const fix = "Give one map for all, or one for each batch entry.";
    fail("shape", "heads", `${batches} maps, one for each batch entry`, maps.length, fix);
  }
  return maps.map((map) => {
    if (!(map instanceof Map))
      fail("shape", "heads", "a Map from query heads to operations", map, "new Map([[head, operation]])");
    return new Map(
      [...map].map(([head, operations]) => {
        if (!Number.isSafeInteger(head) || head < 0 || head >= heads)
          fail("shape", "heads", `query heads from 0 to ${heads - 1}`, head, "Count heads from 0.");
        return [head, [operations].flat()] as const;
      }),
    );
  });
}

/** Operations of several sources on the same heads, one after the other; those on scores first. They are checked when planned. */
export function joinedOperations(sources: readonly ListedOperations[]): ListedOperations {
  const joined = new Map<number, HeadOperation[]>();
  for (const source of sources)
    for (const [head, operations] of source) joined.set(head, [...(joined.get(head) ?? []), ...operations]);
  const isOnScores = (operation: HeadOperation) => operation?.kind === "scale" || operation?.kind === "bias";
  return new Map(
    [...joined].map(([head, operations]) => [
      head,
      [...operations.filter(isOnScores), ...operations.filter((operation) => !isOnScores(operation))],
    ]),
  );
}
