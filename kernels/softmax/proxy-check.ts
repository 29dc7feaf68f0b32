/** What some rows of a proxy must be, in float64, and whether a candidate's are. */
import { throwIfAborted } from "../../src/dispatch/tuning/abort.js";
import type { SoftmaxCaseInputs } from "./case-inputs.js";
import { TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { softmaxAttentionReference } from "./reference.js";
import { rowInputs, spreadRows } from "./sampled-rows.js";

/** Query rows that are compared: of all heads, where that is little work. */
const CHECKED_ROWS = 12;
/** Channels of keys and values that the reference may read for all of it: a quarter of a second. */
const MOST_CHANNELS = 2 ** 23;
/** A rotated channel costs a sine and a cosine. */
const ROTATION = 8;
/** The page's thread is given back after this many milliseconds of arithmetic. */
const TURN_MS = 12;
/** Steps of the golden ratio over the heads meet them all, however many there are. */
const GOLDEN = 0.618;

export interface ExpectedRow {
  /** [batch, query, head] as one index */
  readonly row: number;
  readonly out: Float64Array;
  readonly lse: Float64Array;
}

/** The rows and heads of [B, Tq, Hq] that are worth their arithmetic, evenly spread; single heads of long or wide problems. */
export function checkedRows({ q, k, v, options }: Pick<SoftmaxCaseInputs, "q" | "k" | "v" | "options">): {
  readonly batch: number;
  readonly query: number;
  readonly heads: readonly number[];
}[] {
  const [batches, queries, heads, headDim] = q.shape;
  const channels = k.shape[1] * (headDim * (options.rope ? ROTATION : 1) + v.shape[3]);
  const affordable = Math.max(1, Math.floor(MOST_CHANNELS / channels));
  const rows = spreadRows(batches, queries, Math.min(CHECKED_ROWS, Math.max(affordable, 4)));
  const perRow = Math.min(heads, Math.max(1, Math.floor(affordable / rows.length)));
  return rows.map((row, index) => {
    const first = Math.floor(((index * GOLDEN) % 1) * heads);
    const spread = Array.from(
      { length: perRow },
      (_, n) => (first + Math.floor((n * heads) / perRow)) % heads,
    );
    return { ...row, heads: spread };
  });
}

/** @throws AttentionError "aborted" */
export async function expectedRows(made: SoftmaxCaseInputs, signal?: AbortSignal): Promise<ExpectedRow[]> {
  const [, queries, heads] = made.q.shape;
  const expected: ExpectedRow[] = [];
  let turn = performance.now();
  for (const { batch, query, heads: chosen } of checkedRows(made)) {
    for (const head of chosen) {
      throwIfAborted(signal);
      const row = (batch * queries + query) * heads + head;
      expected.push({ row, ...softmaxAttentionReference(rowInputs(made, { batch, query }, head)) });
      if (performance.now() - turn < TURN_MS) continue;
      await new Promise((resume) => setTimeout(resume));
      turn = performance.now();
    }
  }
  return expected;
}

/**
 * What is wrong with a candidate's results, or undefined where they agree.
 *
 * @param found out [B, Tq, Hq, Dv] and lse [B, Tq, Hq]
 */
export function disagreement(
  expected: readonly ExpectedRow[],
  found: Readonly<Record<"out" | "lse", Float32Array>>,
  storage: string,
): string | undefined {
  const tolerances = { out: storage === "f16" ? TOLERANCE_F16 : TOLERANCE_F32, lse: TOLERANCE_F32 };
  for (const name of ["out", "lse"] as const) {
    const rows = expected.map((row) => ({ row: row.row, expected: row[name] }));
    const error = largestError(rows, found[name]);
    if (error > tolerances[name])
      return `${name} is off by ${error.toExponential(1)} of the largest value, more than ${tolerances[name]}`;
  }
  return undefined;
}

function largestError(
  rows: readonly { readonly row: number; readonly expected: Float64Array }[],
  values: Float32Array,
): number {
  let error = 0;
  let largest = 0;
  for (const { row, expected } of rows) {
    expected.forEach((value, index) => {
      const actual = values[row * expected.length + index]!;
      if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
      if (actual === value) return;
      const difference = Math.abs(actual - value);
      error = Math.max(error, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    });
  }
  return error / (largest || 1);
}
