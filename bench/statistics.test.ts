import { expect, it } from "vitest";
import { medianRatio, summarise } from "./statistics.js";

it("summarises samples in any order, and leaves them as they are", () => {
  const samples = [5, 1, 4, 2, 3];
  expect(summarise(samples)).toEqual({ min: 1, lowerQuartile: 2, median: 3, upperQuartile: 4, max: 5 });
  expect(samples).toEqual([5, 1, 4, 2, 3]);
});

it("interpolates between neighbours", () => {
  expect(summarise([10, 20, 40, 80])).toEqual({
    min: 10,
    lowerQuartile: 17.5,
    median: 30,
    upperQuartile: 50,
    max: 80,
  });
});

it("sorts by value, not by text", () => {
  expect(summarise([9, 100, 10]).median).toBe(10);
});

it("refuses no samples", () => {
  expect(() => summarise([])).toThrow("no samples");
});

it("compares round by round, so that rounds under load count like any other", () => {
  const [early, late] = [
    [10, 10, 1, 1, 1],
    [20, 20, 20, 2, 2],
  ];
  expect(medianRatio(late!, early!)).toBe(2);
});

it("refuses to pair different numbers of rounds", () => {
  expect(() => medianRatio([1, 2], [1])).toThrow("2 rounds against 1");
});
