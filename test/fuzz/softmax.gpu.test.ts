/**
 * Random shapes, layouts and options against the float64 reference. In Node, FUZZ_SEED and FUZZ_RUNS look elsewhere:
 * `FUZZ_SEED=7 FUZZ_RUNS=500 npm test -- --project node-gpu test/fuzz`.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { testContext } from "../support/gpu.js";
import { runFuzzCase } from "./run-fuzz-case.js";
import { fuzzCase } from "./softmax-arbitrary.js";

const env: Record<string, string | undefined> = typeof process === "undefined" ? {} : process.env;
const seed = Number(env.FUZZ_SEED ?? 1);
const numRuns = Number(env.FUZZ_RUNS ?? 40);
/** A run compiles one or two kernels, and shrinking runs as many again. */
const SECONDS_PER_RUN = 4;
const SECONDS_TO_SHRINK = 60;

test(`softmax attention agrees with the reference, ${numRuns} runs from seed ${seed}`, {
  timeout: (numRuns * SECONDS_PER_RUN + SECONDS_TO_SHRINK) * 1000,
}, async () => {
  const ctx = await testContext();
  const property = fc.asyncProperty(fuzzCase, (chosen) => runFuzzCase(ctx, chosen));
  // Stops shrinking in time to say what was found so far.
  const interruptAfterTimeLimit = numRuns * SECONDS_PER_RUN * 1000;
  const found = await fc.check(property, {
    seed,
    numRuns,
    interruptAfterTimeLimit,
    includeErrorInReport: true,
  });
  expect(found.failed, fc.defaultReportMessage(found) ?? "").toBe(false);
});
