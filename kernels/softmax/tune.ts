/** Measuring softmax attention's candidates on the device at hand. Loaded when first used, with the reference that it needs. */
import type { AttentionContext } from "../../src/dispatch/context.js";
import { throwIfAborted } from "../../src/dispatch/tuning/abort.js";
import {
  type MeasureOptions,
  type PreparedCandidate,
  reasonOf,
} from "../../src/dispatch/tuning/candidate.js";
import { clearTime } from "../../src/dispatch/tuning/clear-time.js";
import { type Measurement, measureCandidates } from "../../src/dispatch/tuning/measure-candidates.js";
import { configurationName, type SoftmaxConfiguration } from "./configuration.js";
import { dispatchBudget } from "./effort.js";
import type { SoftmaxShape } from "./problem.js";
import { proxyFlops, proxySizes } from "./proxy.js";
import { ProxyProblem } from "./proxy-problem.js";
import type { Sizes } from "./sizes.js";

export type SoftmaxMeasurement = Measurement<SoftmaxConfiguration> & {
  /** Sizes of the problem that was timed in place of the one at hand. */
  readonly proxy: Sizes;
  /** Operations a second that the winner reached there. */
  readonly flopsPerSecond: number;
};

type Options = Pick<
  MeasureOptions<SoftmaxConfiguration>,
  "candidates" | "budgetMs" | "signal" | "onProgress"
>;

/** Runs that the budget should allow for each candidate, over all candidates: slow ones get fewer. */
const RUNS_PER_CANDIDATE = 5;

/** A proxy within this factor of what suits is good enough. */
const NEAR = 1.5;
/** A first look may be wrong about what a larger proxy takes; it is followed by another. */
const MOST_GROWTH = 16;
const MOST_LOOKS = 4;
/** Of the budget that is left for measuring, whatever the looks took. */
const LEAST_SHARE = 0.5;

/**
 * Times candidates for a problem on a scaled-down proxy of it, each checked first against the float64 reference on sampled rows.
 *
 * @throws AttentionError "aborted", "compile" when no candidate works, "unsupported" without a clock, "limit", "device-lost"
 */
export async function measureSoftmax(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  options: Options,
): Promise<SoftmaxMeasurement> {
  try {
    const { problem, spentMs } = await suitableProxy(ctx, shape, options);
    try {
      const measurement = await measureCandidates({
        ...options,
        budgetMs: Math.max(options.budgetMs - spentMs, options.budgetMs * LEAST_SHARE),
        name: configurationName,
        prepare: (candidate) => problem.prepare(candidate),
      });
      return {
        ...measurement,
        gpuMs: measurement.gpuMs + spentMs,
        proxy: problem.sizes,
        flopsPerSecond: (1000 * problem.flops) / Math.min(...measurement.winner.samples),
      };
    } finally {
      problem.destroy();
    }
  } catch (error) {
    // A lost device shows as one error or another.
    await ctx.assertAlive();
    throw error;
  }
}

/** The estimate of the device's speed may be far off: looks at the first candidate that works say how large the proxy may be. */
async function suitableProxy(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  { candidates, budgetMs, signal }: Options,
): Promise<{ problem: ProxyProblem; spentMs: number }> {
  const runMs = budgetMs / (RUNS_PER_CANDIDATE * Math.max(candidates.length, 3));
  let sizes = proxySizes(shape, dispatchBudget(shape, ctx.capabilities, runMs));
  let spentMs = 0;
  for (let looks = 1; ; looks++) {
    throwIfAborted(signal);
    const problem = await ProxyProblem.create(ctx, shape, sizes, signal);
    try {
      const look = await lookAt(problem, candidates, runMs, signal);
      spentMs += look?.spentMs ?? 0;
      if (!look || looks === MOST_LOOKS) return { problem, spentMs };
      const growth = look.ms === undefined ? MOST_GROWTH : Math.min(runMs / look.ms, MOST_GROWTH);
      sizes = proxySizes(shape, problem.flops * growth);
      const change = proxyFlops(shape, sizes) / problem.flops;
      if (change < NEAR && change > 1 / NEAR) return { problem, spentMs };
    } catch (error) {
      problem.destroy();
      throw error;
    }
    problem.destroy();
  }
}

/** Milliseconds of a run of the first candidate that works; what is wrong with the others is said when their turn comes. */
async function lookAt(
  problem: ProxyProblem,
  candidates: readonly SoftmaxConfiguration[],
  runMs: number,
  signal: AbortSignal | undefined,
): Promise<{ ms: number | undefined; spentMs: number } | undefined> {
  for (const candidate of candidates) {
    throwIfAborted(signal);
    let prepared: PreparedCandidate | undefined;
    try {
      prepared = await problem.prepare(candidate);
      return await look(prepared, runMs, signal);
    } catch (error) {
      reasonOf(error);
    } finally {
      prepared?.destroy();
    }
  }
  return undefined;
}

async function look(
  { run }: PreparedCandidate,
  runMs: number,
  signal: AbortSignal | undefined,
): Promise<{ ms: number | undefined; spentMs: number }> {
  const cold = await run(1);
  // A first run takes longer than others, but not that much: the proxy is too large, and a second would spend more for nothing.
  if (cold.ms > 4 * runMs) return { ms: cold.ms, spentMs: cold.ms };
  let spentMs = cold.ms;
  const spend = (ms: number) => {
    spentMs += ms;
  };
  return { ms: await clearTime(run, 1, spend, signal), spentMs };
}
