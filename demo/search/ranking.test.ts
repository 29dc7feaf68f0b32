import { describe, expect, it } from "vitest";
import { rank, similarity, similarityMatrix } from "./ranking.js";

const vector = (...values: number[]) => Float32Array.from(values);
const east = vector(1, 0);
const north = vector(0, 1);
const between = vector(0.6, 0.8);

describe("ranking", () => {
  it("takes the dot product for similarity", () => {
    expect(similarity(east, north)).toBe(0);
    expect(similarity(between, north)).toBeCloseTo(0.8, 6);
  });

  it("ranks best first, ties in the order of the text", () => {
    expect(rank(north, [east, between, north, north], 3).map(({ index }) => index)).toEqual([2, 3, 1]);
  });

  it("gives what there is when asked for more", () => {
    expect(rank(north, [east], 5)).toEqual([{ index: 0, score: 0 }]);
    expect(rank(north, [], 5)).toEqual([]);
  });

  it("compares all pairs", () => {
    const matrix = similarityMatrix([east, north, between]);
    expect(matrix.map((row) => row.map((value) => Math.round(value * 10) / 10))).toEqual([
      [1, 0, 0.6],
      [0, 1, 0.8],
      [0.6, 0.8, 1],
    ]);
  });
});
