import type { KeySet, KeyShift, ShiftRows } from "./types.js";

/** Words of an operation, as `operations.wgsl` reads them. */
const OPERATION_WORDS = 17;
const NONE = 0xffffffff;
const ALL_ROWS = -2147483647;
const LAST_ROW = 2147483647;
/** Rules by which `sinks.wgsl` finds sinks. */
const RULES = { keys: 0, abs: 1, perKeys: 2, hidden: 3, given: 4 } as const;

/** A shift on one head of one batch entry. */
export interface PlacedShift {
  readonly batch: number;
  readonly head: number;
  readonly shift: KeyShift;
}

/** What the passes read of some shifts, behind `terms.length` words of softmax attention's own. */
export interface OperationTable {
  readonly values: Uint32Array<ArrayBuffer>;
  /** First word of each part. */
  readonly headsAt: number;
  readonly operationsAt: number;
  readonly setsAt: number;
  readonly probesAt: number;
  readonly probes: number;
  /** What the rules need. */
  readonly needs: { readonly received: boolean; readonly hidden: boolean; readonly given: boolean };
}

/**
 * Packs shifts. Sets of keys are stored once each, and so are lists of channels to look at.
 *
 * @param found.given sinks that were found already are taken, but where they are named, or a rule finds them anew at each step
 * @param found.spareNewest those rules leave the newest key out
 */
export function packOperations(
  terms: Uint32Array,
  shifts: readonly PlacedShift[],
  { batches, heads, tokensK }: { readonly batches: number; readonly heads: number; readonly tokensK: number },
  { given, spareNewest }: { readonly given: boolean; readonly spareNewest: boolean },
): OperationTable {
  const sets = new Distinct<KeySet>((set) => JSON.stringify(members(set, tokensK)));
  const probes = new Distinct<readonly number[]>((dims) => JSON.stringify(dims));
  const owners = new Uint32Array(batches * heads).fill(NONE);
  const operations = new Uint32Array(OPERATION_WORDS * shifts.length);
  const floats = new Float32Array(operations.buffer);
  const needs = { received: false, hidden: false, given: false };
  for (const [index, { batch, head, shift }] of shifts.entries()) {
    owners[batch * heads + head] = index;
    const { sinks, recipients, gate = {}, rows = "all" } = shift;
    const protect = protectedKeys(shift);
    const at = index * OPERATION_WORDS;
    const set = (word: number, keys: KeySet | undefined) => {
      operations[at + word] = keys ? sets.add(keys) : NONE;
    };
    operations[at] = batch;
    operations[at + 1] = head;
    floats[at + 2] = shift.keep;
    operations[at + 3] = firstPosition(rows);
    set(4, recipients === "nonsinks" ? undefined : recipients);
    set(5, gate.mass?.[0]);
    floats[at + 6] = gate.mass?.[1] ?? 0;
    set(7, gate.ratio?.[0]);
    set(8, gate.ratio?.[1]);
    floats[at + 9] = gate.ratio?.[2] ?? 0;
    set(10, gate.portion?.[0]);
    floats[at + 11] = gate.portion?.[1] ?? 0;
    const running = "received" in sinks && sinks.update === "running";
    set(15, protect.length > 0 ? { keys: protect } : undefined);
    if ("keys" in sinks) {
      operations[at + 12] = RULES.keys;
      set(14, sinks);
    } else if (given && !running) {
      operations[at + 12] = RULES.given;
      needs.given = true;
    } else if ("hidden" in sinks) {
      operations[at + 12] = RULES.hidden;
      floats[at + 13] = threshold(sinks.hidden.tau);
      operations[at + 14] = probes.add(sinks.hidden.dims);
      needs.hidden = true;
    } else {
      operations[at + 12] = RULES[sinks.received];
      floats[at + 13] = threshold(sinks.received === "abs" ? sinks.theta : sinks.alpha);
      operations[at + 16] = spareNewest && running ? 1 : 0;
      needs.received = true;
    }
  }
  const setWords = sets.values.flatMap((set) => setBits(set, tokensK));
  const probeWords = probeTable(probes.values);
  const parts = [terms, owners, operations, Uint32Array.from(setWords), Uint32Array.from(probeWords)];
  const starts = parts.map((_, part) => parts.slice(0, part).reduce((sum, { length }) => sum + length, 0));
  const values = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  for (const [part, words] of parts.entries()) values.set(words, starts[part]);
  const [, headsAt, operationsAt, setsAt, probesAt] = starts as [number, number, number, number, number];
  return { values, headsAt, operationsAt, setsAt, probesAt, probes: probes.values.length, needs };
}

/** Keys that are never sinks: those that a shift protects, and by default the first where received weight decides. */
export function protectedKeys({ sinks, protect }: Pick<KeyShift, "sinks" | "protect">): readonly number[] {
  return protect ?? ("received" in sinks ? [0] : []);
}

/** Whether the passes have to look at sets of keys, besides those that are sinks or protected. */
export function namesSets({ recipients, gate = {} }: KeyShift): boolean {
  return (
    recipients !== "nonsinks" ||
    gate.mass !== undefined ||
    gate.ratio !== undefined ||
    gate.portion !== undefined
  );
}

/** Values that are equal by their key, numbered as they come. */
class Distinct<Value> {
  readonly values: Value[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #key: (value: Value) => string;

  constructor(key: (value: Value) => string) {
    this.#key = key;
  }

  add(value: Value): number {
    const key = this.#key(value);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.values.length);
    return this.values.push(value) - 1;
  }
}

/** The range, or the keys in ascending order, as far as there are so many keys. */
export function members(set: KeySet, tokensK: number): readonly number[] {
  if ("keys" in set) return [...new Set(set.keys)].filter((key) => key < tokensK).sort((a, b) => a - b);
  const [begin, end] = [Math.max(0, set.range[0]), Math.min(set.range[1], tokensK)];
  return Array.from({ length: Math.max(0, end - begin) }, (_, n) => begin + n);
}

function setBits(set: KeySet, tokensK: number): number[] {
  const keys = members(set, tokensK);
  const words = new Uint32Array(Math.ceil(tokensK / 32));
  for (const key of keys) words[key >> 5]! |= 1 << (key & 31);
  return [keys.length, ...words];
}

/** [probes] of (first word, number of channels), counted from the table's start, then the channels. */
function probeTable(probes: readonly (readonly number[])[]): number[] {
  let next = 2 * probes.length;
  const places = probes.flatMap((dims) => {
    next += dims.length;
    return [next - dims.length, dims.length];
  });
  return [...places, ...probes.flat()];
}

/** The kernel compares bits, and those of -0 are large. */
function threshold(value: number): number {
  return value === 0 ? 0 : value;
}

function firstPosition(rows: ShiftRows): number {
  if (rows === "all") return ALL_ROWS;
  return rows === "last" ? LAST_ROW : rows.from;
}
