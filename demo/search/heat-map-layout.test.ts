import { describe, expect, it } from "vitest";
import { cellAt, fractionOf, neighbour, valueRange } from "./heat-map-layout.js";

describe("heat map", () => {
  it("spreads its colours over what lies off the diagonal", () => {
    const range = valueRange([
      [1, 0.2, 0.6],
      [0.2, 1, 0.4],
      [0.6, 0.4, 1],
    ]);
    expect(range).toEqual({ low: 0.2, high: 0.6 });
    expect(fractionOf(0.4, range)).toBeCloseTo(0.5);
    expect(fractionOf(1, range)).toBe(1);
  });

  it("has a range where all are alike, or there is but one", () => {
    expect(valueRange([[1]])).toEqual({ low: 0, high: 1 });
    expect(
      valueRange([
        [1, 0.3],
        [0.3, 1],
      ]),
    ).toEqual({ low: 0, high: 1 });
  });

  it("finds the cell under a point", () => {
    expect(cellAt(25, 95, 4, 100, 20)).toEqual({ row: 3, column: 0 });
    expect(cellAt(10, 50, 4, 100, 20)).toBeUndefined();
    expect(cellAt(100, 50, 4, 100, 20)).toBeUndefined();
  });

  it("moves by arrow keys and stops at the edge", () => {
    expect(neighbour({ row: 1, column: 1 }, "ArrowUp", 3)).toEqual({ row: 0, column: 1 });
    expect(neighbour({ row: 1, column: 2 }, "ArrowRight", 3)).toEqual({ row: 1, column: 2 });
    expect(neighbour({ row: 1, column: 1 }, "Tab", 3)).toBeUndefined();
  });
});
