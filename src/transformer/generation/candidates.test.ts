import { expect, test } from "vitest";
import { topCandidates } from "./candidates.js";

test("the likeliest come first, with their share of all", () => {
  const logits = Float32Array.from([0, Math.log(4), Number.NaN, Math.log(2), Math.log(4), -Infinity]);
  const found = topCandidates(logits, 3);
  expect(found.map(({ id }) => id)).toEqual([1, 4, 3]);
  for (const [n, share] of [4 / 11, 4 / 11, 2 / 11].entries())
    expect(found[n]!.probability).toBeCloseTo(share, 6);
});

test("more than there are gives all", () => {
  expect(topCandidates(Float32Array.of(1, 3, 2), 9).map(({ id }) => id)).toEqual([1, 2, 0]);
});

test("what has no share has none, where nothing can be taken and beside infinity", () => {
  const [infinite] = topCandidates(Float32Array.of(1, Infinity, 2), 1);
  expect(infinite).toEqual({ id: 1, probability: 1 });
  expect(topCandidates(Float32Array.of(-Infinity, Number.NaN), 1)).toEqual([{ id: 0, probability: 0 }]);
});

test("large logits do not overflow", () => {
  expect(topCandidates(Float32Array.of(1e4, 0), 1)).toEqual([{ id: 0, probability: 1 }]);
});
