import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { recordWith } from "./record-with.js";
import { routerPasses } from "./router-passes.js";
import {
  checkRouter,
  type HeadRouterProblem,
  listsLayout,
  type RouterOptions,
  type RouterWeights,
  WEIGHT_NAMES,
} from "./router-problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface HeadRouterTensors extends RouterWeights<TensorView> {
  /** For the learned router. */
  readonly x?: TensorView;
  /** For the norm router. */
  readonly q?: TensorView;
  /** Written: 0 where a head is not active. */
  readonly gates: TensorView;
  /**
   * Written unless planned without: [B, H, 1 + T] u32, how many tokens a head is active for, then these tokens, ascending. What
   * stands after them is left as it was. Softmax attention takes it as `queryRows`.
   */
  readonly lists?: GPUBuffer;
  /** Written, when the plan was made with them. */
  readonly scores?: TensorView;
  readonly loss?: TensorView;
}

export type HeadRouterPlan = BindablePlan<HeadRouterTensors>;

/**
 * Plans the router of mixture-of-head attention (arXiv 2410.11842 and its code; the folder's README): which heads are active for a
 * token, and with what gates. Of equal scores the lower head is taken.
 *
 * Compiles what it needs; nothing is submitted.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planHeadRouter(
  ctx: AttentionContext,
  problem: HeadRouterProblem,
): Promise<HeadRouterPlan> {
  const shape = checkRouter(problem, ctx.capabilities);
  const maxDispatchFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const passes = routerPasses(shape, ctx.capabilities, maxDispatchFlops);
  await ctx.assertAlive();
  const { input, matrices, gates, scores, loss } = shape;
  const layout = listsLayout(gates.shape);
  const specs: Record<string, TensorSpec> = {
    [shape.router === "norm" ? "q" : "x"]: { layout: input },
    ...Object.fromEntries(matrices.map((matrix) => [matrix.name, { layout: matrix.layout }])),
    gates: { layout: gates, output: true },
    ...(shape.lists && { lists: { layout, output: true } }),
    ...(scores && { scores: { layout: scores, output: true } }),
    ...(loss && { loss: { layout: loss, output: true } }),
  };
  const plan = await compilePlan<Record<string, TensorView | undefined>>(ctx, {
    passes,
    specs,
    segmentFlops: maxDispatchFlops,
  });
  return recordWith(plan, ({ lists, ...tensors }: HeadRouterTensors) => ({
    ...tensors,
    lists: lists && { ...layout, buffer: lists },
  }));
}

export interface RouteCallOptions extends RouterOptions {
  /** Where to write [B, T, H, 1]; default a new dense tensor, whose buffer is the caller's to destroy. */
  readonly gates?: TensorView;
  /** Where to write what the router decides by (`HeadRouterProblem.scores`); `true` for a new tensor. Default nowhere. */
  readonly scores?: TensorView | boolean;
  /** Where to write the load-balance loss [1, 1, 1, 1]; `true` for a new tensor. Default nowhere. */
  readonly loss?: TensorView | boolean;
}

export interface Routed {
  readonly gates: TensorView;
  /** [B, H, 1 + T] u32, a new buffer of the caller's, with STORAGE and COPY_SRC usage. */
  readonly lists: GPUBuffer;
  readonly scores?: TensorView;
  readonly loss?: TensorView;
}

/**
 * Routes tokens to heads once: gates, and for each head the list of tokens that it is active for.
 *
 * @param input x [B, T, 1, C] for the learned router, q [B, T, H, D] before any rotation for the norm router
 * @param weights of the learned router; none for the norm router
 * @throws AttentionError as `planHeadRouter` and `record`, before anything is submitted
 */
export async function routeHeads(
  ctx: AttentionContext,
  input: TensorView,
  weights: RouterWeights<TensorView>,
  options: RouteCallOptions,
): Promise<Routed> {
  checkOptions("routeHeads", options, ["heads", "sharedHeads", "topK", "router", "gates", "scores", "loss"]);
  checkOptions("routeHeads weights", weights, WEIGHT_NAMES);
  const inputs = { [options.router === "norm" ? "q" : "x"]: input, ...weights };
  const problem: HeadRouterProblem = { ...options, ...inputs };
  const shape = checkRouter(problem, ctx.capabilities);
  for (const [name, view] of Object.entries(inputs)) if (view) checkBuffer(name, view, ctx.capabilities);

  const plan = await planHeadRouter(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const { scores: scoresLayout, loss: lossLayout } = shape;
    const gates = options.gates ?? allocate(shape.gates);
    const lists = allocate(listsLayout(shape.gates.shape)).buffer;
    const scores = options.scores === true ? allocate(scoresLayout!) : options.scores || undefined;
    const loss = options.loss === true ? allocate(lossLayout!) : options.loss || undefined;
    const result: Routed = { gates, lists, ...(scores && { scores }), ...(loss && { loss }) };
    return { tensors: { ...inputs, ...result }, result };
  });
}
