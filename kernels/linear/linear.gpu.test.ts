import { describe, expect, test } from "vitest";
import type { Pass } from "../../src/dispatch/pass.js";
import { testContext } from "../../test/support/gpu.js";
import { someInBrowser } from "../../test/support/some-in-browser.js";
import { blockPasses } from "./block-form.js";
import { LINEAR_CASES, type LinearCase, TOLERANCE_F32 } from "./cases.js";
import { checkLinearCase } from "./check-case.js";
import type { LinearCore } from "./core.js";
import { planCore, serialPasses } from "./plan.js";

async function check(problem: LinearCase, passesOf?: (core: LinearCore) => Pass[]): Promise<void> {
  const errors = await checkLinearCase(await testContext(), problem, passesOf);
  expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
  expect(errors.s ?? 0).toBeLessThanOrEqual(TOLERANCE_F32);
  expect(errors.z ?? 0).toBeLessThanOrEqual(TOLERANCE_F32);
}

/** CPU drivers take seconds to compile what is unrolled, and a tenth of that for the same text with its loops. */
const rolled = (pass: Pass): Pass => ({ ...pass, unroll: {} });

describe("linear attention agrees with the float64 reference", () => {
  test.each(someInBrowser(LINEAR_CASES))("$name", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, (core) => planCore(core, capabilities).map(rolled));
  });

  const usual = ["normalised with decay and state, odd widths", "f16", "all to all"];
  test.each(LINEAR_CASES.filter(({ name }) => usual.includes(name)))("$name, as planned", (problem) =>
    check(problem),
  );
});

describe("with the state in workgroup memory", () => {
  const causal = LINEAR_CASES.filter((problem) => problem.causal !== false);
  test.each(someInBrowser(causal.filter((_, index) => index % 2 === 0)))("$name", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, (core) => serialPasses(core, capabilities, Number.POSITIVE_INFINITY));
  });
});

describe("with the tiles of a GPU", () => {
  test.each(someInBrowser(LINEAR_CASES.filter(({ tokens }, index) => tokens > 16 && index % 2 === 1)))(
    "$name",
    async (problem) => {
      const { capabilities } = await testContext();
      await check(problem, (core) =>
        planCore(core, { ...capabilities, software: false, subgroups: false }).map(rolled),
      );
    },
  );
});

describe("in blocks, however few tokens there are and however few states are held", () => {
  const names = [
    "many blocks, batches and heads",
    "one token",
    "sixteen tokens, normalised",
    "all to all",
    "state",
  ];
  test.each(someInBrowser(LINEAR_CASES.filter(({ name }) => names.includes(name))))(
    "$name",
    async (problem) => {
      const { capabilities } = await testContext();
      // Of two heads with 16 x 16 numbers each, or of six: a block's states in 2 or 6 KiB.
      const held = problem.batches * problem.heads * 1024 * 2.5;
      await check(problem, (core) => blockPasses(core, capabilities, 1e4, held).map(rolled));
    },
  );
});
