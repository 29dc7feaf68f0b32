import { expect, it } from "vitest";
import { bestBlocks, maskWords, sinksAndWindow } from "./block-choices.js";
import { prefix, syntheticHead } from "./inputs.js";
import { causalPairs, rowQuality, sampledBlocks } from "./sampled.js";

it("samples query blocks whose pairs are their share", () => {
  const blocks = sampledBlocks(16_384, 8);
  expect(blocks).toHaveLength(32);
  expect((8 * causalPairs(16_384, blocks)) / causalPairs(16_384)).toBeCloseTo(1, 2);
  const all = Array.from({ length: 7 }, (_, a) => a);
  expect(causalPairs(400, all)).toBe(causalPairs(400));
});

it("knows what dropped blocks cost a row", () => {
  const head = prefix(syntheticHead(600), 500);
  const computed = new Float32Array(head.dim);
  const whole = rowQuality(head, 450, 32, () => true, computed);
  expect(whole.error).toBe(0);
  expect(whole.recalled).toBe(whole.top);
  const nothing = rowQuality(head, 450, 32, (block) => block === 14, computed);
  expect(nothing.error).toBeGreaterThan(0);
  expect(nothing.recalled).toBeLessThan(nothing.top);
});

it("chooses blocks beside those that every choice keeps", () => {
  const head = syntheticHead(400);
  const scores = sinksAndWindow(head, 32);
  // The last block of 400 tokens sees 13 blocks: 1 to 8 are candidates.
  expect(bestBlocks(head, scores, 0, 32)[6]).toEqual([0, 9, 10, 11, 12]);
  expect(bestBlocks(head, scores, 0.25, 32)[6]).toEqual([0, 7, 8, 9, 10, 11, 12]);
  expect(maskWords([[0], [0, 2]])).toEqual(Uint32Array.from([4, 1, 5, 2, 0, 0, 4]));
});
