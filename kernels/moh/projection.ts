import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import type { HeadChoice } from "./head-choice.js";
import { projectionForm } from "./projection-form.js";
import { projectionPasses } from "./projection-passes.js";
import { checkProjection, type HeadProjectionProblem } from "./projection-problem.js";
import { recordWith } from "./record-with.js";
import { listsLayout } from "./router-problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface HeadProjectionTensors {
  readonly attended: TensorView;
  readonly gates: TensorView;
  /** [B, H, 1 + T] u32, as the router writes it. Needed unless every head is active for every token. */
  readonly lists?: GPUBuffer;
  readonly weight: TensorView;
  /** Given when it was planned. */
  readonly bias?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

export type HeadProjectionPlan = BindablePlan<HeadProjectionTensors>;

/**
 * Plans the gated output projection of mixture-of-head attention: y_t = b + sum over active heads h of gate_th · W_h · o_th. What
 * is not active is neither read nor multiplied. Without `topK` any head may be active: tiles skip none, but a gate of 0 still hides its row.
 *
 * Compiles what it needs; nothing is submitted.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planHeadProjection(
  ctx: AttentionContext,
  problem: HeadProjectionProblem,
): Promise<HeadProjectionPlan> {
  const shape = checkProjection(problem, ctx.capabilities);
  const maxDispatchFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const passes = projectionPasses(shape, ctx.capabilities, maxDispatchFlops);
  await ctx.assertAlive();
  const { attended, gates, weight, bias, out } = shape;
  const layout = listsLayout(gates.shape);
  const listed = projectionForm(shape, ctx.capabilities) === "listed";
  const specs: Record<string, TensorSpec> = {
    attended: { layout: attended },
    gates: { layout: gates },
    ...(listed && { lists: { layout } }),
    weight: { layout: weight },
    ...(bias && { bias: { layout: bias } }),
    out: { layout: out, output: true },
  };
  const plan = await compilePlan<Record<string, TensorView | undefined>>(ctx, {
    passes,
    specs,
    segmentFlops: maxDispatchFlops,
  });
  return recordWith(plan, ({ lists, ...tensors }: HeadProjectionTensors) => ({
    ...tensors,
    ...(listed && lists && { lists: { ...layout, buffer: lists } }),
  }));
}

export interface ProjectCallOptions extends Partial<HeadChoice> {
  /** [B, H, 1 + T] u32, as the router writes it. Needed unless every head is active for every token. */
  readonly lists?: GPUBuffer;
  readonly bias?: TensorView;
  /** Where to write [B, T, 1, C]; default a new dense tensor of f32, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
}

/**
 * Projects the active heads once: plans, records, submits.
 *
 * @param attended [B, T, H, Dv]
 * @param gates [B, T, H, 1]
 * @param weight [1, 1, H · Dv, C]
 * @throws AttentionError as `planHeadProjection` and `record`, before anything is submitted
 */
export async function projectHeads(
  ctx: AttentionContext,
  attended: TensorView,
  gates: TensorView,
  weight: TensorView,
  options: ProjectCallOptions = {},
): Promise<TensorView> {
  checkOptions("projectHeads", options, ["sharedHeads", "topK", "lists", "bias", "out"]);
  const { lists, ...choices } = options;
  const problem = { ...choices, attended, gates, weight };
  const shape = checkProjection(problem, ctx.capabilities);
  const inputs = { attended, gates, weight, ...(options.bias && { bias: options.bias }) };
  for (const [name, view] of Object.entries(inputs)) checkBuffer(name, view, ctx.capabilities);

  const plan = await planHeadProjection(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const out = options.out ?? allocate(shape.out);
    return { tensors: { ...inputs, ...(lists && { lists }), out }, result: out };
  });
}
