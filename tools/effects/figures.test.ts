import { describe, expect, test } from "vitest";
import { deviation, mean, spread, sum } from "./figures.js";

describe("figures", () => {
  test("sums, means and sample deviations", () => {
    expect(sum([1, 2, 6])).toBe(9);
    expect(mean(Float64Array.of(1, 2, 6))).toBe(3);
    expect(deviation([1, 2, 6])).toBeCloseTo(Math.sqrt(7), 12);
    expect(deviation([4])).toBeNaN();
  });

  test("are written as mean and deviation, or alone", () => {
    expect(spread([1, 2, 3])).toBe("2.000 ± 1.000");
    expect(spread([0.25, 0.35], { percent: true, digits: 1 })).toBe("30.0 ± 7.1 %");
    expect(spread([0.5], { percent: true, digits: 0 })).toBe("50 %");
  });

  test("have a sign where asked for, and none at zero", () => {
    expect(spread([0.01, 0.03], { signed: true })).toBe("+0.020 ± 0.014");
    expect(spread([-0.01], { signed: true, digits: 2 })).toBe("-0.01");
    expect(spread([-0.0001], { signed: true, digits: 2 })).toBe("0.00");
  });
});
