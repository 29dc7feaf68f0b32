import { expect, test } from "vitest";
import { float16ToNumber, float16Words, numberToFloat16 } from "./float16.js";

test("every half survives the way to a number and back", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = float16ToNumber(bits);
    if (Number.isNaN(value)) expect(Number.isNaN(float16ToNumber(numberToFloat16(value)))).toBe(true);
    else if (numberToFloat16(value) !== bits) expect.fail(`0x${bits.toString(16)} came back differently`);
  }
});

test("numbers between two halves go to the nearest, ties to even", () => {
  const cases: [number, number][] = [
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [1 + 2 ** -11 + 2 ** -20, 1 + 2 ** -10],
    [2 ** -25, 0],
    [1.5 * 2 ** -24, 2 ** -23],
    [2 - 2 ** -12, 2],
    [65519, 65504],
    [-65520, Number.NEGATIVE_INFINITY],
    [1e9, Number.POSITIVE_INFINITY],
    [0.1, 0.0999755859375],
  ];
  for (const [value, half] of cases) expect(float16ToNumber(numberToFloat16(value)), `${value}`).toBe(half);
});

test("words are padded", () => {
  expect(Array.from(float16Words([1, 2, 3]))).toEqual([0x3c00, 0x4000, 0x4200, 0]);
});
