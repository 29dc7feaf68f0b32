import { expect, test } from "vitest";
import { float16ToNumber, numberToFloat16 } from "../../dispatch/float16.js";
import { floatToHalf, halfToFloat } from "./half.js";

test("halves become the numbers that they are, and back", () => {
  let wrong = 0;
  for (let half = 0; half < 0x10000; half++) {
    if (!Object.is(halfToFloat(half), float16ToNumber(half))) wrong++;
    const isNumber = !Number.isNaN(halfToFloat(half));
    if (isNumber && floatToHalf(halfToFloat(half)) !== half) wrong++;
  }
  expect(wrong).toBe(0);
  expect(floatToHalf(Number.NaN)).toBe(0x7e00);
});

test("floats are rounded to the nearest half, ties to even", () => {
  const between = Array.from({ length: 3000 }, (_, index) => index * 21).flatMap((half) => {
    const [a, b] = [float16ToNumber(half), float16ToNumber(half + 1)];
    if (!Number.isFinite(a) || !Number.isFinite(b)) return [];
    const middle = (a + b) / 2;
    return [middle, middle * (1 + 2 ** -20), middle * (1 - 2 ** -20), -middle].map(Math.fround);
  });
  for (const value of [...between, 65519, 65520, 1e9, 2 ** -25, 2 ** -26, 1e-30, 0, -0]) {
    expect(floatToHalf(value), String(value)).toBe(numberToFloat16(Math.fround(value)));
  }
});
