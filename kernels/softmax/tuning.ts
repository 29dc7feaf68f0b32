/** Choosing configurations by measuring, as far as applications see it; `tune.ts` does it and is loaded when first needed. */
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkNumber, fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { AttentionError } from "../../src/dispatch/errors.js";
import type { TuningProgress } from "../../src/dispatch/tuning/candidate.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import { softmaxCandidates } from "./candidates.js";
import { checkConfiguration } from "./check-configuration.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { loadMods } from "./load-mods.js";
import { checkProblem, type SoftmaxProblem, type SoftmaxShape } from "./problem.js";
import { suitsRows } from "./row-configuration.js";
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
 * @throws AttentionError as `planSoftmaxAttention`; "compile" when not one candidate works here, "aborted"
 */
export async function tuneSoftmaxAttention(
  ctx: AttentionContext,
  problem: SoftmaxProblem,
  options: TuningOptions & { readonly candidates?: readonly SoftmaxConfiguration[] } = {},
): Promise<SoftmaxMeasurement> {
  checkOptions("tuneSoftmaxAttention", options, ["candidates", ...TUNING_OPTIONS]);
  checkBudget(options.budgetMs);
  const shape = checkProblem(problem, ctx.capabilities, await loadMods(problem));
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
  return ctx.tuning.alone(() => measured(ctx, shape, options), options.signal);
}

/** The configurations that measuring chooses among for a problem on this device, the table's choice first. Plain data. */
export function softmaxConfigurations(
  ctx: AttentionContext,
  problem: SoftmaxProblem,
): readonly SoftmaxConfiguration[] {
  const shape = checkProblem(problem, ctx.capabilities);
  return softmaxCandidates(shape, ctx.capabilities).filter((candidate) => suitsRows(candidate, shape));
}

export function checkBudget(budgetMs: number | undefined): void {
  if (budgetMs !== undefined) checkNumber("budgetMs", budgetMs, 0);
}

/** A rate from a profile bounds dispatches, and a wrong one costs the device: it counts within these multiples of the estimate. */
const LEAST_RATE = 1 / 1000;
const MOST_RATE = 50;

interface TunedEntry {
  readonly configuration: SoftmaxConfiguration;
  /** What to bound dispatches by; undefined where nothing was measured on this device itself. */
  readonly flopsPerSecond: number | undefined;
}

/** What is known of the problem's class, measured now if the context measures. */
export async function tunedEntry(
  ctx: AttentionContext,
  shape: SoftmaxShape,
  options: TuningOptions,
): Promise<TunedEntry | undefined> {
  const wanted = softmaxClass(shape, ctx.capabilities);
  const entry = await ctx.tuning.find(wanted);
  if (entry) {
    try {
      const configuration = entry.configuration as SoftmaxConfiguration;
      checkConfiguration(configuration, shape, ctx.capabilities);
      return { configuration, flopsPerSecond: boundedRate(entry.flopsPerSecond, ctx.capabilities) };
    } catch (error) {
      // A profile of another device, or one that was edited: as good as none.
      if (!(error instanceof AttentionError)) throw error;
    }
  }
  if (!ctx.tuning.measures || ctx.tuning.failed(wanted)) return undefined;
  try {
    const { winner, flopsPerSecond } = await ctx.tuning.shared(wanted, options, (joint) =>
      measured(ctx, shape, { ...options, ...joint }),
    );
    return { configuration: winner.candidate, flopsPerSecond: boundedRate(flopsPerSecond, ctx.capabilities) };
  } catch (error) {
    if (!isUnmeasurable(error)) throw error;
    ctx.tuning.fail(wanted, error);
    return undefined;
  }
}

/** @param rate operations a second, measured */
export function boundedRate(rate: number | undefined, capabilities: Capabilities): number | undefined {
  const estimate = dispatchFlops(capabilities, 1000);
  return rate && Math.min(Math.max(rate, LEAST_RATE * estimate), MOST_RATE * estimate);
}

/** Whether measuring did not work out, while the table's choice still may. */
function isUnmeasurable(error: unknown): error is AttentionError {
  return error instanceof AttentionError && ["compile", "unsupported", "limit"].includes(error.code);
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
