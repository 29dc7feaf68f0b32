/** Choosing configurations by measuring, as far as applications see it; `tune.ts` does it and is loaded when first needed. */
import type { AttentionContext } from "../../src/dispatch/context.js";
import { AttentionError } from "../../src/dispatch/errors.js";
import type { TuningProgress } from "../../src/dispatch/tuning/measure-candidates.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import { softmaxCandidates } from "./candidates.js";
import { checkNumber, fail } from "./check.js";
import { checkConfiguration } from "./check-configuration.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { checkProblem, type SoftmaxProblem, type SoftmaxShape } from "./problem.js";
import type { SoftmaxMeasurement } from "./tune.js";
import { softmaxClass } from "./tuning-class.js";

/** Options of measuring. */
export interface TuningOptions {
  /** Milliseconds of GPU time that measuring one class of problems may take, compilation not counted. Default 300. */
  readonly budgetMs?: number;
  /** Ends measuring with an AttentionError "aborted". */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TuningProgress) => void;
}

export const TUNING_OPTIONS = [
  "budgetMs",
  "signal",
  "onProgress",
] as const satisfies readonly (keyof TuningOptions)[];
const DEFAULT_BUDGET_MS = 300;

/**
 * Times candidate configurations for a problem on this device, on a scaled-down proxy of it, and remembers the fastest in
 * `ctx.tuning` for all problems of the class: same head dimensions, types and terms, lengths and heads within a factor of two.
 * A candidate that does not compile, or disagrees with the float64 reference here, is dropped and reported.
 *
 * Submits work and waits for it. No tensor of the application's is read or written.
 *
 * @param problem as for `planSoftmaxAttention`; only its layouts and options matter
 * @param options.candidates configurations to choose among; default what is published for this kind of device
 * @throws AttentionError as `planSoftmaxAttention`; "compile" when not one candidate works here
 */
export async function tuneSoftmaxAttention(
  ctx: AttentionContext,
  problem: SoftmaxProblem,
  options: TuningOptions & { readonly candidates?: readonly SoftmaxConfiguration[] } = {},
): Promise<SoftmaxMeasurement> {
  checkOptions("tuneSoftmaxAttention", options, ["candidates", ...TUNING_OPTIONS]);
  checkBudget(options.budgetMs);
  const shape = checkProblem(problem, ctx.capabilities);
  for (const candidate of options.candidates ?? []) checkConfiguration(candidate, shape, ctx.capabilities);
  if (options.candidates?.length === 0)
    fail(
      "shape",
      "candidates",
      "at least one configuration",
      "none",
      "Leave them out for the published ones.",
    );
  await ctx.assertAlive();
  return ctx.tuning.alone(() => measured(ctx, shape, options));
}

/** The configurations that measuring chooses among for a problem on this device, the table's choice first. Plain data. */
export function softmaxConfigurations(
  ctx: AttentionContext,
  problem: SoftmaxProblem,
): readonly SoftmaxConfiguration[] {
  return softmaxCandidates(checkProblem(problem, ctx.capabilities), ctx.capabilities);
}

export function checkBudget(budgetMs: number | undefined): void {
  if (budgetMs !== undefined) checkNumber("budgetMs", budgetMs, 0);
}

/** What is known of the problem's class, measured now if the context measures. */
export async function tunedEntry(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  options: TuningOptions,
): Promise<{ configuration: SoftmaxConfiguration; flopsPerSecond: number } | undefined> {
  const wanted = softmaxClass(shape, ctx.capabilities);
  const entry = await ctx.tuning.find(wanted);
  if (entry) {
    try {
      const configuration = entry.configuration as SoftmaxConfiguration;
      checkConfiguration(configuration, shape, ctx.capabilities);
      return { configuration, flopsPerSecond: entry.flopsPerSecond };
    } catch (error) {
      // A profile of another device, or one that was edited: as good as none.
      if (!(error instanceof AttentionError)) throw error;
    }
  }
  if (!ctx.tuning.measures) return undefined;
  try {
    const measurement = await ctx.tuning.shared(wanted, () => measured(ctx, shape, options));
    return { configuration: measurement.winner.candidate, flopsPerSecond: measurement.flopsPerSecond };
  } catch (error) {
    const aborted = error instanceof AttentionError && error.code === "aborted";
    // Another caller's signal ended the measurement that both waited for.
    if (aborted && !options.signal?.aborted) return tunedEntry(ctx, shape, options);
    throw error;
  }
}

async function measured(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  options: TuningOptions & { readonly candidates?: readonly SoftmaxConfiguration[] },
): Promise<SoftmaxMeasurement> {
  const { measureSoftmax } = await import("./tune.js");
  const measurement = await measureSoftmax(ctx, shape, {
    candidates: options.candidates ?? softmaxCandidates(shape, ctx.capabilities),
    budgetMs: options.budgetMs ?? DEFAULT_BUDGET_MS,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  const wanted = softmaxClass(shape, ctx.capabilities);
  await ctx.tuning.put(wanted, {
    mechanism: wanted.mechanism,
    kernels: wanted.kernels,
    configuration: measurement.winner.candidate,
    flopsPerSecond: measurement.flopsPerSecond,
    candidates: measurement.measured.length,
  });
  return measurement;
}
