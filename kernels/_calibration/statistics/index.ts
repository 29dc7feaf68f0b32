/**
 * Statistics of attention patterns: `attentionStatistics` once, `planAttentionStatistics` for hot loops. One sweep over
 * e^(score - lse) that keeps sums; `plan.ts` makes passes of a problem.
 */

import type { CompiledPlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { runOnce } from "../../../src/dispatch/run-once.js";
import type { TensorLayout, TensorView } from "../../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../../src/dispatch/validate.js";
import { loadMods } from "../../softmax/load-mods.js";
import { OPTION_NAMES } from "../../softmax/options.js";
import { compileStatistics } from "./compile.js";
import type { StatisticName, StatisticsOutputs } from "./options.js";
import { type AttentionStatisticsProblem, checkStatistics, PROBLEM_NAMES } from "./problem.js";

export type { FutureInfluenceOptions, StatisticsOutputs, StatisticsRequest } from "./options.js";
export type { AttentionStatisticsProblem } from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface AttentionStatisticsTensors extends StatisticsOutputs<TensorView> {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly lse: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  readonly rowTerms?: TensorView;
  readonly carriedSum?: TensorView;
  /** Not in the buffer of what is written: a loop over tokens takes two in turn. */
  readonly carriedCount?: TensorView;
}

export interface AttentionStatisticsPlan extends CompiledPlan<AttentionStatisticsTensors> {
  /** Layouts of what `record` has to be given to write, by name: dense for each head, [batch, head, token, value] in memory. */
  readonly outputs: StatisticsOutputs<TensorLayout>;
}

/**
 * Plans statistics of A_ij = e^(s_ij - lse_i), from what softmax attention took and left. No buffer of size Tq x Tk: besides what it
 * writes, sums of rows and at most 64 lines of sums of keys for each head and statistic.
 *
 * Compiles what it needs; nothing is submitted. The order in which sums are taken is fixed.
 *
 * @throws AttentionError "shape", "dtype", "unsupported" (also for packed sequences, listed rows and block masks), "limit", "compile",
 *   "disposed", "device-lost"
 */
export async function planAttentionStatistics(
  ctx: AttentionContext,
  problem: AttentionStatisticsProblem,
): Promise<AttentionStatisticsPlan> {
  checkStatistics(problem, ctx.capabilities);
  const shape = checkStatistics(problem, ctx.capabilities, await loadMods(problem));
  const plan = await compileStatistics<AttentionStatisticsTensors>(ctx, shape, problem);
  return { ...plan, outputs: shape.outputs };
}

export interface AttentionStatisticsOptions
  extends Omit<AttentionStatisticsProblem, "q" | "k" | "lse" | "bias" | "rowTerms" | "carried"> {
  /** [1 or B, 1 or Hq, 1 or Tq, 1 or Tk] f32, added to the score; -infinity masks. */
  readonly bias?: TensorView;
  /** What mixes before have left of the patterns. Default the patterns that softmax made. */
  readonly rowTerms?: TensorView;
  /** `receivedSum` and `receivedCount` of earlier queries. Default none. */
  readonly carried?: { readonly sum: TensorView; readonly count: TensorView };
}

/**
 * Statistics of attention once: plans, records, submits. What it returns are new tensors, whose buffers are the caller's to destroy, and
 * which are dense for each head: strides [groups tokens values, values, tokens values, 1].
 *
 * @param q [B, Tq, Hq, D]
 * @param k [B, Tk, Hkv, D]
 * @param lse [B, Tq, Hq, 1] f32, as softmax attention left it
 * @throws AttentionError as `planAttentionStatistics` and `record`, before anything is submitted
 */
export async function attentionStatistics(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  lse: TensorView,
  options: AttentionStatisticsOptions,
): Promise<StatisticsOutputs<TensorView>> {
  checkOptions("attentionStatistics", options, [
    ...PROBLEM_NAMES.filter((name) => name !== "lse"),
    ...OPTION_NAMES,
  ]);
  const { carried, bias, rowTerms } = options;
  const problem: AttentionStatisticsProblem = { ...options, q, k, lse };
  checkStatistics(problem, ctx.capabilities);
  const inputs = {
    q,
    k,
    lse,
    ...(bias && { bias }),
    ...(rowTerms && { rowTerms }),
    ...(carried && { carriedSum: carried.sum, carriedCount: carried.count }),
  };
  for (const [name, view] of Object.entries(inputs)) checkBuffer(name, view, ctx.capabilities);
  const plan = await planAttentionStatistics(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const result: Partial<Record<StatisticName, TensorView>> = {};
    for (const [name, layout] of Object.entries(plan.outputs) as [StatisticName, TensorLayout][])
      result[name] = { ...layout, buffer: allocate(layout).buffer };
    return { tensors: { ...inputs, ...result }, result };
  });
}
