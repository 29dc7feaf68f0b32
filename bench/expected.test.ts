import { describe, expect, it } from "vitest";
import { makeCaseInputs } from "../kernels/softmax/case-inputs.js";
import { softmaxAttentionReference } from "../kernels/softmax/reference.js";
import { normalArray, randomSource } from "../test/support/random.js";
import { expectedRows, largestError } from "./expected.js";
import { sampledRows } from "./sampled-rows.js";
import { benchProblem } from "./suite.js";

const random = randomSource(5);
const normal = () => normalArray(1, random)[0]!;

describe("expected rows", () => {
  it.each([
    ["full", 6, 6, false],
    ["causal", 6, 6, true],
    ["causal chunk at the end", 4, 9, true],
    ["decode", 1, 12, false],
  ])("are the whole reference's: %s", (_name, tokensQ, tokensK, causal) => {
    const problem = benchProblem("", { tokensQ, tokensK, heads: 4, kvHeads: 2 }, { causal });
    const data = makeCaseInputs(problem, normal);
    const { out } = softmaxAttentionReference({ ...data, causal });
    const expected = expectedRows({ problem, data });
    expect(expected.tokens).toEqual([...Array(tokensQ).keys()]);
    expect(expected.values).toEqual(out);
    expect(largestError(Float32Array.from(out), expected, tokensQ)).toBeLessThan(1e-7);
  });
});

describe("largest error", () => {
  const expected = { tokens: [0, 2], values: Float64Array.of(1, 2, 5, 6) };
  const right = [1, 2, 9, 9, 5, 6];

  it("looks at the expected rows only, relative to their largest value", () => {
    expect(largestError(Float32Array.from(right), expected, 3)).toBe(0);
    expect(largestError(Float32Array.from([1, 2, 9, 9, 5, 7.5]), expected, 3)).toBe(0.25);
  });

  it("is infinite when any row, expected or not, is not finite", () => {
    expect(largestError(Float32Array.from([1, 2, Number.NaN, 9, 5, 6]), expected, 3)).toBe(Infinity);
  });

  it("refuses an output of another size", () => {
    expect(() => largestError(Float32Array.from(right), expected, 4)).toThrow("expected 8");
  });
});

describe("sampled rows", () => {
  it("are all of them where that many are wanted", () => {
    expect(sampledRows(3, 3)).toEqual([0, 1, 2]);
    expect(sampledRows(1, 8)).toEqual([0]);
  });

  it("hold the first and the last, ascend without repeats, and meet every row of a tile", () => {
    const rows = sampledRows(1024, 256);
    expect(rows).toHaveLength(256);
    expect([rows[0], rows.at(-1)]).toEqual([0, 1023]);
    expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b));
    expect(new Set(rows.map((row) => row % 32)).size).toBe(32);
  });
});
