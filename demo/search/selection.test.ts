import { describe, expect, it } from "vitest";
import { selectSpread } from "./selection.js";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

describe("selectSpread", () => {
  it("gives all where there are no more than asked for", () => {
    expect(selectSpread(numbers(3), 3)).toEqual([0, 1, 2]);
    expect(selectSpread(numbers(3), Number.POSITIVE_INFINITY)).toEqual([0, 1, 2]);
  });

  it("takes the opening whole and spreads the others to the end", () => {
    expect(selectSpread(numbers(42), 10)).toEqual([0, 1, 6, 11, 16, 21, 26, 31, 36, 41]);
  });

  it.each([1, 2, 4, 7, 300, 999])("gives %i different items in order", (limit) => {
    const chosen = selectSpread(numbers(1000), limit);
    expect(chosen).toHaveLength(limit);
    expect([...new Set(chosen)].sort((a, b) => a - b)).toEqual(chosen);
    expect(chosen.at(-1)).toBe(999);
  });
});
