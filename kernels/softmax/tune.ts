/** Measuring softmax attention's candidates on the device at hand. Loaded when first used, with the reference that it needs. */
import type { AttentionContext } from "../../src/dispatch/context.js";
import {
  type Measurement,
  type MeasureOptions,
  measureCandidates,
} from "../../src/dispatch/tuning/measure-candidates.js";
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

/**
 * Times candidates for a problem on a scaled-down proxy of it, each checked first against the float64 reference on sampled rows.
 *
 * @throws AttentionError "aborted", or "compile" when no candidate works, "device-lost"
 */
export async function measureSoftmax(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  options: Options,
): Promise<SoftmaxMeasurement> {
  const { problem, spentMs } = await suitableProxy(ctx, shape, options);
  try {
    const measurement = await measureCandidates({
      ...options,
      budgetMs: options.budgetMs - spentMs,
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
}

/** The estimate of the device's speed is low by design: a look at the first candidate says how large the proxy may be. */
async function suitableProxy(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  { candidates, budgetMs }: Options,
): Promise<{ problem: ProxyProblem; spentMs: number }> {
  const runMs = budgetMs / (RUNS_PER_CANDIDATE * Math.max(candidates.length, 3));
  const guess = new ProxyProblem(
    ctx,
    shape,
    proxySizes(shape, dispatchBudget(shape, ctx.capabilities, runMs)),
  );
  const first = await guess.prepare(candidates[0]!).catch(() => undefined);
  // It is dropped, and said so, when its turn comes.
  if (!first) return { problem: guess, spentMs: 0 };
  try {
    const [cold, warm] = [await first.run(1), await first.run(1)];
    const sizes = proxySizes(shape, (guess.flops * runMs) / Math.max(warm, 1e-3));
    const spentMs = cold + warm;
    if (proxyFlops(shape, sizes) < 1.5 * guess.flops) return { problem: guess, spentMs };
    guess.destroy();
    return { problem: new ProxyProblem(ctx, shape, sizes), spentMs };
  } finally {
    first.destroy();
  }
}
