import { hasRow, keysOf } from "../key-set.js";
import type { ShiftGate, ShiftOperation } from "../operations.js";
import { type AttentionMap, mapRows } from "./attention-map.js";

/** What the authors' code of VAR adds to each key's weight where it divides by their sum. */
const PORTION_EPSILON = 1e-6;

/**
 * Weight taken from sinks and given to recipients (ACT, arXiv 2406.15765; VAR, arXiv 2503.03321): with Ω the weight that sinks
 * lose and Z that of the recipients, A'_j = keep · A_j for sinks, A_j (1 + Ω / Z) for recipients.
 *
 * Without sinks or without weight on recipients a row stays as it is.
 */
export function shifted(
  map: AttentionMap,
  operation: ShiftOperation,
  sinks: readonly number[],
): AttentionMap {
  if (sinks.length === 0 || operation.keep === 1) return map;
  const isSink = new Set(sinks);
  const { keep, gate, rows = "all" } = operation;
  const recipients = recipientsOf(operation, map.keys).filter((key) => !isSink.has(key));
  return mapRows(map, (row, i) => {
    if (!hasRow(rows, i, map.queries, i + map.offset)) return row;
    if (gate && !passes(gate, row, isSink)) return row;
    const taken = (1 - keep) * mass(row, sinks);
    const received = mass(row, recipients);
    if (taken === 0 || received === 0) return row;
    for (const key of sinks) row[key]! *= keep;
    for (const key of recipients) row[key]! *= 1 + taken / received;
    return row;
  });
}

function recipientsOf({ recipients }: ShiftOperation, keys: number): number[] {
  return keysOf(recipients === "nonsinks" ? { range: [0, keys] } : recipients, keys);
}

function mass(row: Float64Array, keys: Iterable<number>): number {
  let total = 0;
  for (const key of keys) total += row[key] ?? 0;
  return total;
}

/** Whether a row is shifted at all. */
export function passes(gate: ShiftGate, row: Float64Array, sinks: ReadonlySet<number>): boolean {
  if (gate.mass) {
    const [set, least] = gate.mass;
    if (!(mass(row, keysOf(set, row.length)) >= least)) return false;
  }
  if (gate.ratio && !(nonsinkRatio(gate.ratio, row, sinks) >= gate.ratio[2])) return false;
  if (gate.portion) {
    const [set, most] = gate.portion;
    const hasSink = keysOf(set, row.length).some((key) => sinks.has(key));
    if (!hasSink || !(sinkPortion(gate.portion, row, sinks) <= most)) return false;
  }
  return true;
}

/** The weight on a set's non-sinks over that on another set. NaN where the latter weighs nothing. */
export function nonsinkRatio(
  [nonsinks, of]: NonNullable<ShiftGate["ratio"]>,
  row: Float64Array,
  sinks: ReadonlySet<number>,
): number {
  const without = keysOf(nonsinks, row.length).filter((key) => !sinks.has(key));
  return mass(row, without) / mass(row, keysOf(of, row.length));
}

/** The sinks' share of a set's weight, as the authors' code of VAR computes it. */
export function sinkPortion(
  [set]: NonNullable<ShiftGate["portion"]>,
  row: Float64Array,
  sinks: ReadonlySet<number>,
): number {
  const keys = keysOf(set, row.length);
  const inSinks = keys.filter((key) => sinks.has(key));
  return mass(row, inSinks) / (mass(row, keys) + PORTION_EPSILON * keys.length);
}
