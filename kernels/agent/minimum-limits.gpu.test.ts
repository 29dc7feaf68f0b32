/** What every WebGPU device has, and no more; planned as for a GPU, whose tiles are others than those of a driver on a CPU. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionContext } from "../../src/index.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { testDevice } from "../../test/support/gpu.js";
import { AGENT_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  expect(ctx.capabilities.limits).toEqual(minimumCapabilities().limits);
  Object.defineProperty(ctx, "capabilities", { value: minimumCapabilities() });
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

const NAMES =
  /^(head dim (1|15|64|256)|Dv .*|one .*|(49|65|256) agents|many keys|hiding biases|large scores|shortcut|image|wide image|class token and .*|values of an uneven grid|everything|pooled.*|stripes|f16.*)$/;
const chosen = AGENT_CASES.filter(({ name }) => NAMES.test(name));

test.each(chosen)("$name", async (problem) => {
  const { error, tolerance } = await checkCase(ctx, problem);
  expect(error).toBeLessThanOrEqual(tolerance);
});

test("two queries of a line a thread, where there are many", async () => {
  const image = AGENT_CASES.find(({ name }) => name === "image")!;
  const { error, tolerance } = await checkCase(ctx, {
    ...image,
    batches: 1880,
    heads: 1,
    valueDim: 1,
    headDim: 1,
  });
  expect(error).toBeLessThanOrEqual(tolerance);
});
