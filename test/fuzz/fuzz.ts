import fc from "fast-check";
import { expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { testContext } from "../support/gpu.js";

const env: Record<string, string | undefined> = typeof process === "undefined" ? {} : process.env;
const seed = Number(env.FUZZ_SEED ?? 1);
const SECONDS_TO_SHRINK = 60;
/** How many times as long as it should a test may take to get through the least runs. */
const SLOWEST = 4;

interface FuzzBudget {
  /** How many problems, unless FUZZ_RUNS says otherwise: when their time is over, at least half of them. */
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
  const least = Math.ceil(numRuns / 2);
  const runSeconds = numRuns * secondsPerRun;
  // A slow machine may need longer for half of the runs; one that cannot do them then has looked at too little.
  const timeout = (SLOWEST * runSeconds + SECONDS_TO_SHRINK) * 1000;
  test(`${name}, ${numRuns} runs from seed ${seed}`, { timeout }, async () => {
    const ctx = await testContext();
    const counted = { runs: 0, until: Date.now() + runSeconds * 1000, failed: false };
    const property = fc.asyncProperty(problem, async (chosen) => {
      // What is left passes unseen, which also ends shrinking in time to say what was found so far.
      if (Date.now() > counted.until && (counted.failed || counted.runs >= least)) return;
      if (!counted.failed) counted.runs++;
      try {
        await check(ctx, chosen);
      } catch (error) {
        if (!counted.failed) counted.until = Date.now() + SECONDS_TO_SHRINK * 1000;
        counted.failed = true;
        throw error;
      }
    });
    const found = await fc.check(property, { seed, numRuns, includeErrorInReport: true });
    console.log(`${name}: ${counted.runs} of ${numRuns} runs`);
    expect(found.failed, fc.defaultReportMessage(found) ?? "").toBe(false);
    expect(counted.runs, "runs").toBeGreaterThanOrEqual(least);
  });
}
