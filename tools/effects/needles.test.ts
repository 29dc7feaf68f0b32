import { expect, test } from "vitest";
import { copiedTokens, needleOf, randomSegment } from "./needles.js";

const needle = needleOf(0, [7, 8, 9]);
// The segment stands at 1, 2, 3 and again at 4, 5, 6; each query's key is ten times its place.
const keys = [0, 10, 20, 30, 40, 50, 60];

test("a needle is a segment twice", () => {
  expect(needle.tokens).toEqual([0, 7, 8, 9, 7, 8, 9]);
});

test("a copied token is judged by its own query, or by the one in front, as of an induction head", () => {
  const common = { tokens: needle.tokens, answer: [7, 8, 9] };
  expect(copiedTokens(needle, keys, "own")).toEqual({ ...common, argmaxKeys: [40, 50, 60] });
  expect(copiedTokens(needle, keys, "predicting")).toEqual({ ...common, argmaxKeys: [30, 40, 50] });
});

test("random segments leave the begin token out, and differ by their seed", () => {
  const segment = randomSegment(500, 4, 1);
  expect(new Set(segment)).toEqual(new Set([1, 2, 3]));
  expect(randomSegment(500, 4, 2)).not.toEqual(segment);
});
