import { isBuffer } from "../../../src/dispatch/check.js";
import type { SoftmaxProblem } from "../../softmax/index.js";
import type { ShiftShape } from "./problem.js";
import type { KeySet, KeyShift } from "./types.js";

/** Options that limit softmax attention to a range of keys in each batch entry. */
export type KeyRange = Pick<SoftmaxProblem, "keyStarts" | "keyLengths" | "queryOffset">;

export interface KeyRanges {
  /** Undefined where no batch entry has keys there. */
  readonly before?: KeyRange;
  readonly recipients: KeyRange;
  readonly after?: KeyRange;
}

/**
 * The keys cut at a range that is all that the shifts of each batch entry name; undefined where they name other sets, or where only
 * the GPU knows which keys there are.
 */
export function keyRanges(problem: SoftmaxProblem, { attention, shifts }: ShiftShape): KeyRanges | undefined {
  const { keyStarts, keyLengths } = problem;
  const { batches, tokensK } = attention;
  if (isBuffer(keyStarts) || isBuffer(keyLengths)) return undefined;
  const queryOffset = commonOffset(problem, attention);
  if (queryOffset === undefined) return undefined;
  const range = Array<readonly [number, number] | undefined>(batches);
  for (const { batch, shift } of shifts) {
    const own = onlyRange(shift);
    const known = range[batch];
    if (!own || (known && (known[0] !== own[0] || known[1] !== own[1]))) return undefined;
    range[batch] = own;
  }
  const cuts = Array.from({ length: batches }, (_, b) => {
    const begin = keyStarts?.[b] ?? 0;
    const end = Math.max(keyLengths?.[b] ?? tokensK, begin);
    const within = (key: number) => Math.min(Math.max(key, begin), end);
    const [from, to] = range[b] ?? [end, end];
    return [begin, within(from), within(Math.max(from, to)), end] as const;
  });
  const part = (side: 0 | 1 | 2): KeyRange | undefined => {
    if (cuts.every((cut) => cut[side] === cut[side + 1])) return undefined;
    const starts = cuts.map((cut) => Math.min(cut[side]!, tokensK));
    return {
      keyStarts: starts,
      keyLengths: cuts.map((cut) => Math.min(cut[side + 1]!, tokensK)),
      queryOffset,
    };
  };
  const [before, recipients, after] = [part(0), part(1), part(2)];
  return recipients && { recipients, ...(before && { before }), ...(after && { after }) };
}

/** The one range that a shift's recipients and gate name. */
function onlyRange({ recipients, gate = {} }: KeyShift): readonly [number, number] | undefined {
  if (recipients === "nonsinks" || !("range" in recipients)) return undefined;
  const { range } = recipients;
  const named: (KeySet | undefined)[] = [gate.mass?.[0], gate.ratio?.[0], gate.ratio?.[1], gate.portion?.[0]];
  const same = (set: KeySet) => "range" in set && set.range[0] === range[0] && set.range[1] === range[1];
  return named.every((set) => set === undefined || same(set)) ? range : undefined;
}

/** Position of query row 0 in all batch entries, which other lengths of keys must not change. */
function commonOffset(
  { keyLengths }: SoftmaxProblem,
  { alignToLength, queryOffset, tokensQ, tokensK }: ShiftShape["attention"],
): number | undefined {
  if (!alignToLength) return queryOffset;
  const lengths = new Set(isBuffer(keyLengths) ? [] : Array.from(keyLengths ?? [tokensK]));
  return lengths.size === 1 ? [...lengths][0]! - tokensQ : undefined;
}
