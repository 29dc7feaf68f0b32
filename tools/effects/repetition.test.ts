import { expect, test } from "vitest";
import { repetition } from "./repetition.js";

test("runs that came before are repeated", () => {
  expect(repetition([1, 2, 3, 4, 5, 6], 4)).toBe(0);
  expect(repetition([1, 1, 1, 1, 1], 2)).toBe(3 / 4);
  expect(repetition([1, 2, 1, 2, 1, 2], 2)).toBeCloseTo(3 / 5, 12);
  expect(repetition([1], 4)).toBe(0);
});
