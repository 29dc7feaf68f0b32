/**
 * Flow-Attention: attention in time and memory linear in the tokens, as a flow network between sources and sinks.
 * `flowAttention` once, `planFlowAttention` for hot loops; `plan.ts` makes passes of a problem.
 */

import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { lengthsTable } from "./lengths.js";
import { type FlowOptions, OPTION_NAMES } from "./options.js";
import { planFlow } from "./plan.js";
import { checkProblem, type FlowProblem } from "./problem.js";

export type { PerBatch } from "../../src/dispatch/per-batch.js";
export type { FlowOptions } from "./options.js";
export type { FlowProblem } from "./problem.js";
export { flowStateShape } from "./state.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface FlowTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one. Read only. */
  readonly state?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
  /** Written, when the plan was made with one. Not in `state`'s buffer: a loop takes two in turn. */
  readonly stateOut?: TensorView;
}

export type FlowPlan = BindablePlan<FlowTensors>;

/**
 * Plans Flow-Attention (Flowformer, arXiv 2202.06258). With Q and K the logistic function of q and k, and I, O, Î, Ô the flows that
 * the folder's README derives, out_i = logistic(Î_i L / S) · Q_i / I_i · sum_j K_jᵀ S softmax_j(Ô) v_j; causal, every sum is one over
 * the tokens so far. No scale is applied to q and k.
 *
 * Compiles what it needs; nothing is submitted. Rows of padding, and all rows where there is no source, are zero.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planFlowAttention(ctx: AttentionContext, problem: FlowProblem): Promise<FlowPlan> {
  const shape = checkProblem(problem, ctx.capabilities);
  const lengths = lengthsTable(shape, problem);
  const maxDispatchFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const passes = planFlow(shape, ctx.capabilities, { maxDispatchFlops });
  await ctx.assertAlive();
  const { q, k, v, out, state, stateOut } = shape;
  const specs: Record<string, TensorSpec> = {
    q: { layout: q },
    k: { layout: k },
    v: { layout: v },
    ...(state && { state: { layout: state } }),
    out: { layout: out, output: true },
    ...(stateOut && { stateOut: { layout: stateOut, output: true } }),
  };
  return compilePlan<FlowTensors>(ctx, {
    passes,
    specs,
    tables: { lengths },
    segmentFlops: maxDispatchFlops,
  });
}

export interface FlowCallOptions extends FlowOptions {
  /** What the tokens before these left behind. Default nothing. Causal only; read only. */
  readonly state?: TensorView;
  /** Where to write [B, L, H, Dv]; default a new dense tensor, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
  /** Where to leave the state after the last token; `true` for a new tensor, likewise the caller's. Default nowhere. Causal only. */
  readonly stateOut?: TensorView | boolean;
}

/**
 * Flow-Attention once: plans, records, submits. In a loop over one shape, `planFlowAttention` saves the planning.
 *
 * @param q [B, L, H, D]
 * @param k [B, S, H, D]
 * @param v [B, S, H, Dv]
 * @throws AttentionError as `planFlowAttention` and `record`, before anything is submitted
 */
export async function flowAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: FlowCallOptions = {},
): Promise<{ out: TensorView; stateOut?: TensorView }> {
  checkOptions("flowAttention", options, [...OPTION_NAMES, "state", "out", "stateOut"]);
  const problem: FlowProblem = { ...options, q, k, v };
  const shape = checkProblem(problem, ctx.capabilities);
  const inputs = { q, k, v, ...(options.state && { state: options.state }) };
  for (const [name, view] of Object.entries(inputs)) checkBuffer(name, view, ctx.capabilities);

  const plan = await planFlowAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const out = options.out ?? allocate(shape.out);
    const stateOut = options.stateOut === true ? allocate(shape.stateOut!) : options.stateOut || undefined;
    const result = { out, ...(stateOut && { stateOut }) };
    return { tensors: { ...inputs, ...result }, result };
  });
}
