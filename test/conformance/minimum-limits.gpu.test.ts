/** What every WebGPU device has, and no more: the guaranteed limits and no optional feature. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SOFTMAX_CASES, type SoftmaxCase } from "../../kernels/softmax/cases.js";
import { checkCase } from "../../kernels/softmax/check-case.js";
import type { SoftmaxConfiguration } from "../../kernels/softmax/configuration.js";
import { AttentionContext } from "../../src/index.js";
import { minimumCapabilities } from "../support/capabilities.js";
import { testDevice } from "../support/gpu.js";
import {
  registerConfiguration,
  sharedConfiguration,
  stagedConfiguration,
} from "../support/softmax-configurations.js";

/** The widest heads (most registers and workgroup memory), odd ones, f16 storage, and all options at once. */
const CHOSEN =
  /^((decode )?head dim (1|15|64|256)|Dv 256 from D 1|causal (9|65) tokens|f16 f16.* (15|256)|f16, odd sizes|long decode|all options, .*|every key masked, with sinks)$/;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

async function check(problem: SoftmaxCase, configuration?: SoftmaxConfiguration): Promise<void> {
  const errors = await checkCase(ctx, problem, configuration);
  expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
  expect(errors.lse).toBeLessThanOrEqual(errors.lseTolerance);
}

test("the device has the minimum and nothing else", () => {
  const { limits, f16, subgroups, timestamps } = ctx.capabilities;
  expect({ f16, subgroups, timestamps }).toEqual({ f16: false, subgroups: false, timestamps: false });
  expect(limits).toEqual(minimumCapabilities().limits);
});

const chosen = SOFTMAX_CASES.filter(({ name }) => CHOSEN.test(name));
const prefills = chosen.filter(({ tokensQ }) => tokensQ > 8);

describe("softmax attention on a device with minimum limits and no feature", () => {
  test.each(chosen)("$name", (problem) => check(problem, sharedConfiguration(problem)));

  test.each(prefills)("$name, staged", (problem) => check(problem, stagedConfiguration(problem)));

  test.each(chosen)("$name, without workgroup memory", (problem) =>
    check(problem, registerConfiguration(problem, ctx.capabilities)),
  );

  const usual = ["head dim 15", "decode head dim 256", "grouped heads 8 to 2", "both paddings, causal"];
  test.each(SOFTMAX_CASES.filter(({ name }) => usual.includes(name)))(
    "$name, as the table chooses",
    (problem) => check(problem),
  );
});
