import { describe, expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import {
  registerConfiguration,
  sharedConfiguration,
  stagedConfiguration,
} from "../../test/support/softmax-configurations.js";
import { someInBrowser } from "../../test/support/some-in-browser.js";
import { SOFTMAX_CASES, type SoftmaxCase } from "./cases.js";
import { checkCase } from "./check-case.js";
import type { SoftmaxConfiguration } from "./configuration.js";

async function check(problem: SoftmaxCase, configuration?: SoftmaxConfiguration): Promise<void> {
  const errors = await checkCase(await testContext(), problem, configuration);
  expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
  expect(errors.lse).toBeLessThanOrEqual(errors.lseTolerance);
}

const prefills = SOFTMAX_CASES.filter(({ tokensQ }) => tokensQ > 8);
const decodes = SOFTMAX_CASES.filter(({ tokensQ }) => tokensQ <= 8);
const every = (step: number, cases: readonly SoftmaxCase[], from = 0) =>
  cases.filter((_, index) => index % step === from);

describe("softmax attention agrees with the float64 reference", () => {
  test.each(someInBrowser(SOFTMAX_CASES))("$name", (problem) => check(problem, sharedConfiguration(problem)));
});

describe("keys and values in workgroup memory change nothing", () => {
  test.each(someInBrowser(every(3, prefills, 1)))("$name", (problem) =>
    check(problem, stagedConfiguration(problem)),
  );
});

describe("the kernels without workgroup memory agree too", () => {
  test.each(someInBrowser(every(2, prefills)))("$name", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, registerConfiguration(problem, capabilities, { columns: 5 }));
  });

  test.each(someInBrowser(every(4, prefills, 1)))("$name, without subgroups", async (problem) => {
    const { capabilities } = await testContext();
    const changes = { threads: 32, rows: 3 };
    await check(problem, registerConfiguration(problem, { ...capabilities, subgroups: false }, changes));
  });

  test.each(someInBrowser(every(16, prefills, 3)))("$name, unrolled", async (problem) => {
    const { capabilities } = await testContext();
    const changes = { rows: 2, keys: 4, columns: 4, unroll: true };
    await check(problem, registerConfiguration(problem, capabilities, changes));
  });

  const telling = ["sinks, split", "long decode", "decode with paddings", "grouped decode 12 to 1, 3 tokens"];
  const chosen = decodes.filter(({ name }, index) => index % 2 === 0 || telling.includes(name));
  test.each(someInBrowser(chosen))("strips: $name", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, registerConfiguration(problem, capabilities, { columns: 3, keysPerSplit: 20 }));
  });
});

describe("other sizes of split decode agree too", () => {
  test.each(someInBrowser(every(4, decodes, 1)))("$name", (problem) =>
    check(problem, { kernel: "split", threads: 16, keysPerSplit: 40, f16: false }),
  );
  test.each(someInBrowser(every(8, decodes, 2)))("$name, wide", (problem) =>
    check(problem, { kernel: "split", threads: 128, keysPerSplit: 30, f16: false }),
  );
});

describe("any kernel takes any number of queries", () => {
  const names = ["causal chunk at the end", "grouped decode 12 to 1, 3 tokens", "all options, split"];
  test.each(someInBrowser(SOFTMAX_CASES.filter(({ name }) => names.includes(name))))(
    "$name",
    async (problem) => {
      const { capabilities } = await testContext();
      for (const tokensQ of [4, 40]) {
        const pretended = { ...problem, tokensQ };
        await check(problem, sharedConfiguration(pretended));
        await check(problem, registerConfiguration(pretended, capabilities));
      }
    },
  );
});

describe("the configuration that the table chooses for this device agrees too", () => {
  const names = [
    "head dim 64",
    "grouped heads 8 to 2",
    "all options, tiled",
    "all options, split",
    "f16 f16, head dim 40",
    "decode with paddings",
  ];
  test.each(SOFTMAX_CASES.filter(({ name }) => names.includes(name)))("$name", (problem) => check(problem));
});
