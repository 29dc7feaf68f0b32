import { checkInteger, checkKnown, checkWithin, fail } from "../check.js";
import type { Head } from "../head-search/head.js";
import type { AttentionHook } from "../intervention/attention-hook.js";
import { checkOperation } from "../intervention/check-operation.js";
import type { HeadOperations } from "../intervention/head-operations.js";
import type { HeadOperation, MixOperation, MixPath } from "../operations.js";

export interface SoftPagOptions {
  /** Strength: 0 changes nothing, 1 is PAG. Default 0.5, which the paper recommends. */
  readonly u?: number;
  /** Default linear. */
  readonly path?: MixPath;
}

/**
 * SoftPAG (arXiv 2506.10978, equation 7) as an operation on a head: its pattern moves towards the identity, A(u) = (1 - u) A + u I.
 *
 * @throws AttentionError "shape" for a strength that is not from 0 to 1, "unsupported" for other options
 */
export function softPag(options: SoftPagOptions = {}): MixOperation {
  checkKnown("softPag", options, ["u", "path"]);
  const { u = 0.5, path = "linear" } = options;
  checkWithin("u", u, 0, 1);
  return { kind: "mix", target: "identity", u, path };
}

/** Uniform weights over the visible keys (AttentionInfluence's masked heads, arXiv 2505.07293). */
export const UNIFORM_HEAD: MixOperation = { kind: "mix", target: "uniform", u: 1 };

/** No output at all. */
export const ZERO_HEAD: MixOperation = { kind: "mix", target: "zero", u: 1 };

export interface PerturbHeadsOptions {
  /**
   * Batch entries whose heads are changed; the others stay as they are. So that the plain and the perturbed pass of a guidance share each
   * dispatch, put both into one batch and name the latter's entries. Default all.
   */
  readonly entries?: readonly number[];
  /** How many batch entries there are; needed with `entries`. */
  readonly batches?: number;
}

/**
 * The same operations on heads of any layers, as a hook.
 *
 * @param heads as `headSearch` and `allHeads` give them
 * @throws AttentionError "shape" for entries that are not among the batches, or heads that are not counted from 0; "unsupported" for other
 * options; and for operations by themselves as `planIntervenedAttention`
 */
export function perturbHeads(
  heads: readonly Head[],
  operations: HeadOperation | readonly HeadOperation[],
  options: PerturbHeadsOptions = {},
): AttentionHook {
  checkKnown("perturbHeads", options, ["entries", "batches"]);
  const { entries, batches } = options;
  if (entries) checkEntries(entries, batches);
  const layers = new Map<number, Map<number, HeadOperation | readonly HeadOperation[]>>();
  for (const [n, operation] of [operations].flat().entries())
    checkOperation(`perturbHeads operation ${n}`, operation);
  for (const [n, { layer, head }] of heads.entries()) {
    checkInteger(`heads[${n}].layer`, layer, 0);
    checkInteger(`heads[${n}].head`, head, 0);
    if (!layers.has(layer)) layers.set(layer, new Map());
    layers.get(layer)!.set(head, operations);
  }
  return {
    prepare: ({ layer }) => {
      const found = layers.get(layer);
      if (!found) return undefined;
      return { heads: entries ? inEntries(found, entries, batches!) : found };
    },
  };
}

/** Operations of some batch entries, as one map for each. */
function inEntries(
  operations: HeadOperations,
  entries: readonly number[],
  batches: number,
): readonly HeadOperations[] {
  return Array.from({ length: batches }, (_, b) => (entries.includes(b) ? operations : new Map()));
}

function checkEntries(entries: readonly number[], batches: number | undefined): void {
  if (!Number.isSafeInteger(batches) || batches! < 1)
    fail("shape", "batches", "the number of batch entries", batches, "Give it with entries.");
  for (const entry of entries) {
    if (Number.isSafeInteger(entry) && entry >= 0 && entry < batches!) continue;
    fail("shape", "entries", `batch entries from 0 to ${batches! - 1}`, entry, "Count from 0.");
  }
}
