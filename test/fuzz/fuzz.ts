import fc from "fast-check";
import { expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { testContext } from "../support/gpu.js";

const env: Record<string, string | undefined> = typeof process === "undefined" ? {} : process.env;
const seed = Number(env.FUZZ_SEED ?? 1);
const SECONDS_TO_SHRINK = 60;

interface FuzzBudget {
  /** How many problems, unless FUZZ_RUNS says otherwise. */
  readonly runs: number;
  /** A run compiles a kernel or several, and shrinking runs as many again. */
  readonly secondsPerRun: number;
}

/**
 * A test over random problems. In Node, FUZZ_SEED and FUZZ_RUNS look elsewhere:
 * `FUZZ_SEED=7 FUZZ_RUNS=500 npm test -- --project node-gpu test/fuzz`.
 *
 * @param check throws where a problem is computed wrongly
 */
export function fuzz<Problem>(
  name: string,
  problem: fc.Arbitrary<Problem>,
  { runs, secondsPerRun }: FuzzBudget,
  check: (ctx: AttentionContext, problem: Problem) => Promise<void>,
): void {
  const numRuns = Number(env.FUZZ_RUNS ?? runs);
  const runSeconds = numRuns * secondsPerRun;
  const timeout = (runSeconds + SECONDS_TO_SHRINK) * 1000;
  test(`${name}, ${numRuns} runs from seed ${seed}`, { timeout }, async () => {
    const ctx = await testContext();
    const property = fc.asyncProperty(problem, (chosen) => check(ctx, chosen));
    // Stops shrinking in time to say what was found so far.
    const interruptAfterTimeLimit = runSeconds * 1000;
    const found = await fc.check(property, {
      seed,
      numRuns,
      interruptAfterTimeLimit,
      includeErrorInReport: true,
    });
    expect(found.failed, fc.defaultReportMessage(found) ?? "").toBe(false);
  });
}
