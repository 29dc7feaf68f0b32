import { difference } from "../../../test/support/compare.js";
import type { Verification, VerifiedOutput } from "../../_playground/mechanism.js";
import { pauses } from "../../_playground/pauses.js";
import type { SoftmaxCaseInputs } from "../case-inputs.js";
import { TOLERANCE_F16, TOLERANCE_F32 } from "../cases.js";
import { softmaxAttentionReference } from "../reference.js";
import { rowInputs, spreadRows } from "../sampled-rows.js";
import type { PlaygroundCase } from "./read-values.js";

/** Multiplications that the float64 reference may take: a second or so. */
const REFERENCE_BUDGET = 5e7;
const FEWEST_ROWS = 4;
/** Scores up to which their own rounding in f32 is within the tolerance. */
const PLAIN_SCORE = 32;

/** What a run wrote. */
export interface Written {
  readonly out: Float32Array;
  readonly lse?: Float32Array;
}

/**
 * Compares with the reference, row by row: all rows, or as many as take about a second. That every other value was written
 * is checked too, since outputs are full of NaN before the run.
 */
export async function verifyRun(
  problem: PlaygroundCase,
  inputs: SoftmaxCaseInputs,
  written: Written,
  signal: AbortSignal,
): Promise<Verification> {
  const { batches, tokensQ, tokensK, heads, headDim, valueDim, dtype } = problem;
  const rowCost = heads * tokensK * (headDim + valueDim);
  const total = batches * tokensQ;
  const rows = spreadRows(batches, tokensQ, Math.max(FEWEST_ROWS, Math.floor(REFERENCE_BUDGET / rowCost)));
  const expected = { out: [] as number[], lse: [] as number[] };
  const actual = { out: [] as number[], lse: [] as number[] };
  const pause = pauses(signal);
  for (const position of rows) {
    const { out, lse } = softmaxAttentionReference(rowInputs(inputs, position));
    const row = position.batch * tokensQ + position.query;
    append(expected.out, out);
    append(actual.out, slice(written.out, row, heads * valueDim));
    append(expected.lse, lse);
    if (written.lse) append(actual.lse, slice(written.lse, row, heads));
    await pause();
  }
  const largestScore = expected.lse.reduce(
    (max, lse) => (Number.isFinite(lse) ? Math.max(max, Math.abs(lse)) : max),
    0,
  );
  const growth = Math.max(1, largestScore / PLAIN_SCORE);
  const outputs: VerifiedOutput[] = [
    verified(
      "out",
      actual.out,
      expected.out,
      written.out,
      (dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32) * growth,
    ),
  ];
  if (written.lse) outputs.push(verified("lse", actual.lse, expected.lse, written.lse, TOLERANCE_F32));
  return {
    outputs,
    extent:
      rows.length === total
        ? `all ${total * heads} rows`
        : `${rows.length * heads} of ${total * heads} rows; the others are known to be written`,
    ...(growth > 1 && {
      note: `Scores reach ${largestScore.toFixed(0)}; rounding them to f32 allows ${growth.toFixed(1)} times the usual error.`,
    }),
  };
}

function verified(
  name: string,
  actual: readonly number[],
  expected: readonly number[],
  values: Float32Array,
  tolerance: number,
): VerifiedOutput {
  const unwritten = values.some(Number.isNaN);
  return {
    name,
    error: unwritten ? Number.POSITIVE_INFINITY : difference(actual, expected).maxRelative,
    tolerance,
    values,
  };
}

function append(to: number[], values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) to.push(values[i]!);
}

function slice(values: Float32Array, row: number, width: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width);
}
