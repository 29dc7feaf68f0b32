import { expect, it } from "vitest";
import { stepFrom } from "./grid-steps.js";

// The second row has nothing, and the third is shorter than the first.
const places = [
  { row: 0, column: -1 },
  { row: 0, column: 0 },
  { row: 0, column: 1 },
  { row: 2, column: -1 },
  { row: 2, column: 0 },
];

it("steps within rows, over empty rows, and not past edges", () => {
  const step = (row: number, column: number, key: string) => stepFrom({ row, column }, key, places);
  expect(step(0, 0, "ArrowRight")).toEqual({ row: 0, column: 1 });
  expect(step(0, 0, "ArrowLeft")).toEqual({ row: 0, column: -1 });
  expect(step(0, 0, "ArrowDown")).toEqual({ row: 2, column: 0 });
  expect(step(2, -1, "ArrowUp")).toEqual({ row: 0, column: -1 });
  expect(step(0, 1, "ArrowDown")).toBeUndefined();
  expect(step(0, 1, "ArrowRight")).toBeUndefined();
  expect(step(0, 0, "ArrowUp")).toBeUndefined();
  expect(step(0, 0, "Enter")).toBeUndefined();
});
