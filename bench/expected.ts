import { softmaxAttentionReference } from "../kernels/softmax/reference.js";
import { difference } from "../test/support/compare.js";
import type { BenchInputs } from "./contender.js";
import { sampledRows } from "./sampled-rows.js";

/** Multiplications that a check may cost: some seconds of float64 in JavaScript. */
const BUDGET = 2 ** 28;

/** Rows of the float64 reference. */
export interface ExpectedRows {
  /** Query tokens, ascending; all of them where the budget allows. */
  readonly tokens: readonly number[];
  /** [tokens.length, Hq * Dv] */
  readonly values: Float64Array;
}

/** Computes as many rows of the reference as the budget allows, each by itself: row i of Tq is one query at position i. */
export function expectedRows({ problem, data }: BenchInputs): ExpectedRows {
  const { tokensQ, tokensK, heads, headDim, valueDim, options } = problem;
  if (problem.batches !== 1) throw new Error("the benchmark checks one batch entry");
  const rowCost = tokensK * heads * (headDim + valueDim);
  const tokens = sampledRows(tokensQ, Math.max(8, Math.floor(BUDGET / rowCost)));
  const values = new Float64Array(tokens.length * heads * valueDim);
  for (const [index, token] of tokens.entries()) {
    const width = heads * headDim;
    const { out } = softmaxAttentionReference({
      ...data,
      q: { data: data.q.data.subarray(token * width, (token + 1) * width), shape: [1, 1, heads, headDim] },
      ...(options.causal && { causal: true }),
      queryOffset: token + tokensK - tokensQ,
    });
    values.set(out, index * out.length);
  }
  return { tokens, values };
}

/** Largest error of the expected rows, relative to their largest value; infinite when any value at all is not finite. */
export function largestError(actual: Float32Array, expected: ExpectedRows, tokensQ: number): number {
  const width = expected.values.length / expected.tokens.length;
  if (actual.length !== tokensQ * width) {
    throw new Error(`the output has ${actual.length} values, expected ${tokensQ * width}`);
  }
  if (!actual.every(Number.isFinite)) return Number.POSITIVE_INFINITY;
  const sampled = new Float32Array(expected.values.length);
  for (const [index, token] of expected.tokens.entries()) {
    sampled.set(actual.subarray(token * width, (token + 1) * width), index * width);
  }
  return difference(sampled, expected.values).maxRelative;
}
