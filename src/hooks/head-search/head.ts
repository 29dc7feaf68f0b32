import { checkInteger, fail } from "../check.js";

/** An attention head of a model. */
export interface Head {
  /** Counted from 0, as `head` is. */
  readonly layer: number;
  readonly head: number;
}

/** All heads of a model, in (layer, head) order. */
export function allHeads(layers: number, heads: number): Head[] {
  checkInteger("layers", layers, 1);
  checkInteger("heads", heads, 1);
  return Array.from({ length: layers * heads }, (_, index) => ({
    layer: Math.floor(index / heads),
    head: index % heads,
  }));
}

/** A copy in (layer, head) order, which is how ties are broken, whatever order the caller had. */
export function sortedHeads(candidates: readonly Head[]): Head[] {
  for (const [index, { layer, head }] of candidates.entries()) {
    checkInteger(`candidates[${index}].layer`, layer, 0);
    checkInteger(`candidates[${index}].head`, head, 0);
  }
  const sorted = candidates
    .map(({ layer, head }) => ({ layer, head }))
    .sort((a, b) => a.layer - b.layer || a.head - b.head);
  for (const [index, { layer, head }] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next?.layer !== layer || next.head !== head) continue;
    fail(
      "shape",
      "candidates",
      "each head once",
      `layer ${layer}, head ${head} twice`,
      "Leave one of them out.",
    );
  }
  if (sorted.length === 0) fail("shape", "candidates", "at least one head", "none", "See allHeads.");
  return sorted;
}
