import { expect, test } from "vitest";
import { confidence, effectiveClasses, likeliest } from "./confidence.js";

test("confidence is the largest probability, of large logits too", () => {
  expect(confidence([0, 0])).toBe(0.5);
  expect(confidence(Float32Array.of(1000, 1000 - Math.log(3), -5))).toBeCloseTo(0.75, 3);
  expect(likeliest([1, 3, 3])).toBe(1);
});

test("images are spread over so many classes", () => {
  expect(effectiveClasses([4, 4, 4])).toBe(1);
  expect(effectiveClasses([0, 1, 2, 3])).toBeCloseTo(4, 12);
  expect(effectiveClasses([0, 0, 0, 1])).toBeCloseTo(2 ** 0.8113, 3);
});
