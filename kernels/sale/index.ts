/**
 * SALE: prefill attention that estimates in 4 bits which blocks of keys matter, and visits only those. `saleAttention` once,
 * `planSaleAttention` for hot loops, `calibrateSale` for thresholds. `selection.ts` compiles the passes that end in a block mask;
 * softmax attention over that mask does the rest.
 */

import type { AttentionContext } from "../../src/dispatch/context.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { planSaleAttention } from "./attention-plan.js";
import { OPTION_NAMES, type SaleOptions } from "./options.js";
import { checkProblem, type SaleProblem } from "./problem.js";

export { planSaleAttention, type SalePlan, type SaleTensors } from "./attention-plan.js";
export {
  calibrateSale,
  type SaleCalibration,
  type SaleCalibrationOptions,
  type SaleCalibrationProgress,
  type SaleLayerCalibration,
  type SaleSample,
} from "./calibrate.js";
export type { SaleOptions } from "./options.js";
export type { SaleProblem } from "./problem.js";
export type { SaleSelection } from "./read-selection.js";

export interface SaleCallOptions extends SaleOptions {
  /** Where to write [B, T, Hq, Dv]; default a new dense tensor, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
  /** Where to write the log-sum-exp [B, T, Hq, 1] over the kept keys; `true` for a new tensor, likewise the caller's. Default none. */
  readonly lse?: TensorView | boolean;
}

/**
 * SALE once: plans, records, submits. In a loop over one shape, `planSaleAttention` saves the planning, and keeps the block mask.
 *
 * @param q [B, T, Hq, D]
 * @param k [B, T, Hkv, D]
 * @param v [B, T, Hkv, Dv]
 * @throws AttentionError as `planSaleAttention` and `record`, before anything is submitted
 */
export async function saleAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: SaleCallOptions,
): Promise<{ out: TensorView; lse?: TensorView }> {
  checkOptions("saleAttention", options, [...OPTION_NAMES, "out", "lse"]);
  const problem: SaleProblem = { ...options, q, k, v };
  const shape = checkProblem(problem, ctx.capabilities);
  for (const [name, view] of Object.entries({ q, k, v })) checkBuffer(name, view, ctx.capabilities);

  const plan = await planSaleAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const newLse = (): TensorView => {
      const { buffer } = allocate({ shape: [shape.batches, shape.heads, shape.tokens, 1], dtype: "f32" });
      return { ...shape.lse!, buffer };
    };
    const out = options.out ?? allocate(shape.out);
    const lse = options.lse === true ? newLse() : options.lse || undefined;
    const result = { out, ...(lse && { lse }) };
    return { tensors: { q, k, v, ...result }, result };
  });
}
