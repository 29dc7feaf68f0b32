import { expect, test } from "vitest";
import { causalBlocks, forcedShare, keptShares } from "./kept-blocks.js";

const blocks = { blockK: 32, segment: 128, localWindow: 128 };

test("causal blocks end at the diagonal, and at the last key", () => {
  expect(causalBlocks({ tokens: 256, blockK: 32 })).toEqual([2, 4, 6, 8]);
  expect(causalBlocks({ tokens: 100, blockK: 32 })).toEqual([2, 4]);
});

test("short texts are all sink and window; long ones hardly", () => {
  expect(forcedShare({ tokens: 256, ...blocks })).toBe(1);
  // Of rows of 2, 4, ..., 16 blocks the last four have candidates: 4, 4, 8 and 8.
  expect(forcedShare({ tokens: 512, ...blocks })).toBeCloseTo(1 - (4 + 4 + 8 + 8) / 72, 12);
  expect(forcedShare({ tokens: 65_536, ...blocks })).toBeLessThan(0.01);
});

test("visited blocks are counted for each head", () => {
  const states = Uint8Array.of(1, 0, 0, 0, 2, 2, 1, 1);
  expect(keptShares(states, 2, { tokens: 64, blockK: 16 })).toEqual([1 / 4, 1]);
});
