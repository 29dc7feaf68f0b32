/** What every WebGPU device has, and no more: the guaranteed limits and no optional feature. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionContext } from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { SALE_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

/** Plain heads, and odd ones of halves. */
const CHOSEN = /^(grouped heads, two batches|f16, D 5)$/;

test.each(SALE_CASES.filter(({ name }) => CHOSEN.test(name)))(
  "SALE on a device with minimum limits and no feature: $name",
  async (problem) => {
    const { error, tolerance } = await checkCase(ctx, problem);
    expect(error).toBeLessThanOrEqual(tolerance);
  },
);
