/** What every WebGPU device has, and no more: the guaranteed limits and no optional feature. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionContext } from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { FLOW_CASES } from "./cases.js";
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

/** The widest heads, and odd ones of halves; as planned for a GPU, whose loops are not unrolled. */
const CHOSEN =
  /^((causal, |one causal token, )?D 256, Dv 256|(causal |one causal token of )?f16, D 5|no clamp)$/;

test.each(FLOW_CASES.filter(({ name }) => CHOSEN.test(name)))(
  "flow attention on a device with minimum limits and no feature: $name",
  async (problem) => {
    const capabilities = { ...ctx.capabilities, software: false };
    const { error, tolerance } = await checkCase(ctx, problem, { capabilities, maxDispatchFlops: 1e8 });
    expect(error).toBeLessThanOrEqual(tolerance);
  },
);
