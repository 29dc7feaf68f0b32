import { describe, expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { SOFTMAX_CASES, type SoftmaxCase } from "./cases.js";
import { checkCase } from "./check-case.js";
import { rowsConfiguration, type SoftmaxConfiguration, tiledConfiguration } from "./configuration.js";

async function check(problem: SoftmaxCase, configuration?: SoftmaxConfiguration): Promise<void> {
  const errors = await checkCase(await testContext(), problem, configuration);
  expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
  expect(errors.lse).toBeLessThanOrEqual(errors.lseTolerance);
}

const prefills = SOFTMAX_CASES.filter(({ tokensQ }) => tokensQ > 8);

describe("softmax attention agrees with the float64 reference", () => {
  test.each(SOFTMAX_CASES)("$name", (problem) => check(problem, tiledConfiguration(problem)));
});

describe("the kernel without workgroup memory agrees too", () => {
  // Rolled loops, which compile in a fifth of the time and run the same text.
  test.each(prefills.filter((_, index) => index % 2 === 0))("$name", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, { ...rowsConfiguration(problem, capabilities), columns: 5, unroll: false });
  });

  test.each(prefills.filter((_, index) => index % 4 === 1))("$name, without subgroups", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, {
      ...rowsConfiguration(problem, capabilities),
      threads: 32,
      subgroups: false,
      unroll: false,
    });
  });

  test.each(prefills.filter((_, index) => index % 16 === 3))("$name, unrolled", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, { ...rowsConfiguration(problem, capabilities), rows: 2, keys: 4, columns: 4 });
  });
});

describe("the configuration that the table chooses for this device agrees too", () => {
  const names = ["head dim 64", "grouped heads 8 to 2", "all options, tiled", "f16 f16, head dim 40"];
  test.each(prefills.filter(({ name }) => names.includes(name)))("$name", (problem) => check(problem));
});
