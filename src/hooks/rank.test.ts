import { describe, expect, it } from "vitest";
import { ascending, descending, median, shareOf } from "./rank.js";

describe("ranks", () => {
  it("keep equals in order, both ways", () => {
    expect(descending([1, 3, 3, 2])).toEqual([1, 2, 3, 0]);
    expect(ascending([1, 3, 3, 2, 1])).toEqual([0, 4, 3, 1, 2]);
    expect(descending([1, 3, 3, 2], [3, 2, 1])).toEqual([1, 2, 3]);
  });

  it("round a share up, but for what rounding adds to a product", () => {
    expect(0.1 * 3).toBeGreaterThan(0.3);
    expect(shareOf(0.1, 30)).toBe(3);
    expect(shareOf(0.07, 100)).toBe(7);
    expect(shareOf(0.3, 8)).toBe(3);
    expect(shareOf(0, 8)).toBe(0);
    expect(shareOf(1, 8)).toBe(8);
  });

  it("have a middle", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});
