import { expect, test } from "vitest";
import { distance, evenness, usageOf } from "./usage.js";

test("the share of tokens that activate a head", () => {
  const gates = [Float32Array.of(0.5, 0, 1, 0.5, 0.2, 0), Float32Array.of(1, 0, 0)];
  expect(usageOf(gates, 3)).toEqual([1, 1 / 3, 1 / 3]);
});

test("use is even, or always the same", () => {
  expect(evenness([0.5, 0.5, 0.5, 0.5], 2)).toBe(1);
  expect(evenness([1, 1, 0, 0], 2)).toBe(0);
  expect(evenness([0.75, 0.75, 0.25, 0.25], 2)).toBe(0.5);
});

test("two uses differ by the heads that would have to change", () => {
  expect(distance([1, 1, 0], [1, 1, 0])).toBe(0);
  expect(distance([1, 1, 0], [0, 1, 1])).toBe(0.5);
  expect(distance([1, 0], [0, 1])).toBe(1);
});
