/** Mixture-of-head attention on what every WebGPU device has, and no more: the guaranteed limits and no optional feature. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionContext } from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { MIXTURE_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

const CHOSEN = [
  "two shared, two of six",
  "heads too many to sort by",
  "one token",
  "f16, D 5",
  "f32 to f16, D 16",
];

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

test.each(MIXTURE_CASES.filter(({ name }) => CHOSEN.includes(name)))("$name", async (problem) => {
  const { out, gates, wrongHeads, loss, tolerance } = await checkCase(ctx, problem);
  expect(wrongHeads).toBe(0);
  for (const error of [out, gates, loss]) expect(error).toBeLessThanOrEqual(tolerance);
});
