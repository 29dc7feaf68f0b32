/** What every WebGPU device has, and no more: the guaranteed limits and no optional feature. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Pass } from "../../src/dispatch/pass.js";
import { AttentionContext } from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { LINEAR_CASES, type LinearCase } from "./cases.js";
import { checkLinearCase } from "./check-case.js";
import type { LinearCore } from "./core.js";
import { planCore, serialPasses } from "./plan.js";
import { PREFIX_CASES } from "./prefix/cases.js";
import { checkPrefixCase } from "./prefix/check-case.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

/** The widest heads, and odd ones with everything on. */
const WIDE: LinearCase = {
  name: "widest heads",
  batches: 1,
  tokens: 70,
  heads: 1,
  headDim: 256,
  valueDim: 256,
  dtype: "f32",
  featureMap: "elu+1",
  normalize: true,
  state: true,
  decay: [0.01],
};
const odd = LINEAR_CASES.find(({ name }) => name === "normalised with decay and state, odd widths")!;

const rolled = (pass: Pass): Pass => ({ ...pass, unroll: {} });

describe("linear attention on a device with minimum limits and no feature", () => {
  test.each<[string, LinearCase, (core: LinearCore) => Pass[]]>([
    [
      "widest heads, tiles of a GPU",
      WIDE,
      (core) => planCore(core, { ...ctx.capabilities, software: false }),
    ],
    ["widest heads, in registers", WIDE, (core) => planCore(core, { ...ctx.capabilities, software: true })],
    ["widest heads, one block after another", WIDE, (core) => serialPasses(core, ctx.capabilities, 1e12)],
    ["widest heads, few tokens", { ...WIDE, tokens: 3 }, (core) => planCore(core, ctx.capabilities)],
    ["odd widths in registers", odd, (core) => planCore(core, { ...ctx.capabilities, software: true })],
  ])("%s", async (_name, problem, passesOf) => {
    const errors = await checkLinearCase(ctx, problem, (core) => passesOf(core).map(rolled));
    expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
    expect(errors.s).toBeLessThanOrEqual(1e-5);
    expect(errors.z).toBeLessThanOrEqual(1e-5);
  });
});

const PREFIX = ["D 256, Dv 256", "f16, odd widths", "padding"];

test.each(PREFIX_CASES.filter(({ name }) => PREFIX.includes(name)))(
  "prefix softmax on a device with minimum limits and no feature: $name",
  async (problem) => {
    const capabilities = { ...ctx.capabilities, software: false };
    const { error, tolerance } = await checkPrefixCase(ctx, problem, { capabilities, maxDispatchFlops: 1e8 });
    expect(error).toBeLessThanOrEqual(tolerance);
  },
);
