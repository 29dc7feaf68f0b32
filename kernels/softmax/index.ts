/**
 * Softmax attention without a Tq x Tk buffer (flash attention): `softmaxAttention` once, `planSoftmaxAttention` for hot
 * loops. The way to the arithmetic: `table.ts` or measuring chooses a configuration, `plan.ts` makes passes of it.
 */

import { CompiledPasses } from "../../src/dispatch/compiled-passes.js";
import { type BindablePlan, compilePlan, type PlanSegment } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { checkConfiguration } from "./check-configuration.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { dispatchBudget } from "./effort.js";
import { loadMods } from "./load-mods.js";
import { OPTION_NAMES, type SoftmaxOptions } from "./options.js";
import { planSoftmax } from "./plan.js";
import { checkProblem, KV_STORAGE, type SoftmaxProblem } from "./problem.js";
import { checkRowConfiguration } from "./row-configuration.js";
import { softmaxTables } from "./tables.js";
import { checkBudget, TUNING_OPTIONS, type TuningOptions, tunedEntry } from "./tuning.js";

export type { PerBatch } from "../../src/dispatch/per-batch.js";
export type { BlockMask } from "./block-mask.js";
export type {
  RowsConfiguration,
  SoftmaxConfiguration,
  SplitConfiguration,
  StripsConfiguration,
  TiledConfiguration,
} from "./configuration.js";
export { configurationName } from "./configuration.js";
export {
  type BlockMaskOptions,
  type CreatedBlockMask,
  createBlockMask,
  readBlockMask,
} from "./create-block-mask.js";
export {
  andMasks,
  type MaskFunction,
  type MaskMod,
  type ModBinding,
  notMask,
  orMasks,
  type ScoreMod,
} from "./mod-types.js";
export {
  alibiMod,
  causalMask,
  dilatedWindowMask,
  documentMask,
  neighborhoodMask,
  prefixLmMask,
  relativeBiasMod,
  slidingWindowMask,
  softCapMod,
  taylorMod,
} from "./mods/index.js";
export type { RotaryOptions, SoftmaxOptions } from "./options.js";
export type { SoftmaxProblem } from "./problem.js";
export type { SoftmaxMeasurement } from "./tune.js";
export { softmaxConfigurations, type TuningOptions, tuneSoftmaxAttention } from "./tuning.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface SoftmaxTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
  /** Written, when the plan was made with `lse`. */
  readonly lse?: TensorView;
}

export type SoftmaxPlan = BindablePlan<SoftmaxTensors>;

/** A part of a plan that is submitted by itself. */
export type SoftmaxSegment = PlanSegment<SoftmaxTensors>;

/**
 * Plans softmax attention (FlashAttention, arXiv 2205.14135): out_i = sum_j softmax_j(scale q_i · k_j) v_j.
 *
 * Compiles what it needs; nothing is submitted. Rows that see no key give zeros and lse = -infinity.
 *
 * @param options.configuration kernels and tile; default what is known from measuring, else what the table has for this kind of
 *   device. In a context with `tuning: "measure"` the first plan of a class of problems measures, as `tuneSoftmaxAttention`.
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost", "aborted"
 */
export async function planSoftmaxAttention(
  ctx: AttentionContext,
  problem: SoftmaxProblem,
  options: { readonly configuration?: SoftmaxConfiguration } & TuningOptions = {},
): Promise<SoftmaxPlan> {
  checkOptions("planSoftmaxAttention", options, ["configuration", ...TUNING_OPTIONS]);
  checkBudget(options.budgetMs);
  const shape = checkProblem(problem, ctx.capabilities, await loadMods(problem), KV_STORAGE);
  if (options.configuration) {
    checkConfiguration(options.configuration, shape, ctx.capabilities);
    checkRowConfiguration(options.configuration, shape);
  }
  const tables = softmaxTables(shape, problem);
  await ctx.assertAlive();
  // What is wrong with a mod is found before measuring submits anything.
  if (shape.mods && ctx.tuning.measures)
    (await CompiledPasses.compile(ctx, planSoftmax(shape, ctx.capabilities), tables)).destroy();
  // Measuring has no problems of q8.
  const measurable = !options.configuration && shape.k.dtype !== "q8";
  const tuned = measurable ? await tunedEntry(ctx, shape, options) : undefined;
  const maxDispatchFlops = dispatchBudget(shape, ctx.capabilities, ctx.maxDispatchMs, tuned?.flopsPerSecond);
  const configuration = options.configuration ?? tuned?.configuration;
  const passes = planSoftmax(shape, ctx.capabilities, {
    ...(configuration && { configuration }),
    maxDispatchFlops,
  });
  const { q, k, v, out, lse } = shape;
  const specs: Record<string, TensorSpec> = {
    q: { layout: q },
    k: { layout: k },
    v: { layout: v },
    ...(problem.bias && { bias: { layout: problem.bias } }),
    out: { layout: out, output: true },
    ...(lse && { lse: { layout: lse, output: true } }),
  };
  return compilePlan<SoftmaxTensors>(ctx, { passes, specs, tables, segmentFlops: maxDispatchFlops });
}

export interface SoftmaxCallOptions extends Omit<SoftmaxOptions, "bias"> {
  /** [1 or B, 1 or Hq, 1 or Tq, 1 or Tk] f32, added to the score; -infinity masks. */
  readonly bias?: TensorView;
  /** Where to write [B, Tq, Hq, Dv]; default a new dense tensor, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
  /** Where to write the log-sum-exp [B, Tq, Hq, 1]; `true` for a new tensor, likewise the caller's. Default none. */
  readonly lse?: TensorView | boolean;
}

/**
 * Softmax attention once: plans, records, submits. In a loop over one shape, `planSoftmaxAttention` saves the planning.
 *
 * @param q [B, Tq, Hq, D]
 * @param k [B, Tk, Hkv, D]
 * @param v [B, Tk, Hkv, Dv]
 * @throws AttentionError as `planSoftmaxAttention` and `record`, before anything is submitted
 */
export async function softmaxAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: SoftmaxCallOptions = {},
): Promise<{ out: TensorView; lse?: TensorView }> {
  checkOptions("softmaxAttention", options, [...OPTION_NAMES, "out", "lse"]);
  const problem: SoftmaxProblem = { ...options, q, k, v };
  const shape = checkProblem(problem, ctx.capabilities, undefined, KV_STORAGE);
  for (const [name, view] of Object.entries({ q, k, v, ...(options.bias && { bias: options.bias }) })) {
    checkBuffer(name, view, ctx.capabilities);
  }

  const plan = await planSoftmaxAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const newLse = (): TensorView => {
      const { buffer } = allocate({ shape: [shape.batches, shape.heads, shape.tokensQ, 1], dtype: "f32" });
      return { ...shape.lse!, buffer };
    };
    const out = options.out ?? allocate(shape.out);
    const lse = options.lse === true ? newLse() : options.lse || undefined;
    const result = { out, ...(lse && { lse }) };
    return { tensors: { q, k, v, ...result, ...(options.bias && { bias: options.bias }) }, result };
  });
}
