import { expect, test } from "vitest";
import { show } from "./show.js";

test.each<[unknown, string]>([
  [undefined, "nothing"],
  [null, "null"],
  [1n, "1"],
  [[1, "a", true], '[1, "a", true]'],
  [{ a: 1, b: { c: [2] } }, '{"a": 1, "b": {"c": [...]}}'],
  [Array(1000).fill(1n), "[1, 1, 1, 1, 1, 1, 1, 1, ... 1000 in all]"],
])("%o", (value, text) => {
  expect(show(value)).toBe(text);
});

test("whatever is nested or piled up, shortly", () => {
  let nested: unknown = [];
  for (let level = 0; level < 100_000; level++) nested = [nested];
  expect(show(nested)).toBe("[[[...]]]");
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`${index}`.repeat(100), "a"]));
  for (const value of ["a".repeat(10_000_000), many, { a: many }, [many]]) {
    expect(show(value).length).toBeLessThanOrEqual(85);
  }
});
