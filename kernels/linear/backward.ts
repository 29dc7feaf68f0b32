import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { transposed } from "../../src/dispatch/layout.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorLayout, TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { type LinearCore, type NamedState, powersTable } from "./core.js";
import type { LinearOptions } from "./options.js";
import { planCore } from "./plan.js";
import {
  BACKWARD_NAMES,
  checkLinearBackward,
  type LinearBackwardProblem,
  type LinearBackwardShape,
} from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface LinearBackwardTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  readonly dOut: TensorView;
  /** When the plan was made with them. */
  readonly state?: TensorView;
  readonly dStateOut?: TensorView;
  /** Written. All that is written has a buffer of its own, and none of the inputs'. */
  readonly dq: TensorView;
  readonly dk: TensorView;
  readonly dv: TensorView;
  /** Written, when the plan was made with it. */
  readonly dState?: TensorView;
}

export type LinearBackwardPlan = BindablePlan<LinearBackwardTensors>;

/**
 * Plans the gradient of linear attention without normaliser, in blocks and O(N) memory. All three gradients are linear attention
 * again: dq of (dO, v, k) forward in time; dk of (v, dO, q) and dv of (k, q, dO) backward in time, from the gradient of the
 * state that left.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planLinearAttentionBackward(
  ctx: AttentionContext,
  problem: LinearBackwardProblem,
): Promise<LinearBackwardPlan> {
  const shape = checkLinearBackward(problem, ctx.capabilities);
  await ctx.assertAlive();
  const budget = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  return compilePlan<LinearBackwardTensors>(ctx, {
    passes: backwardCores(shape).flatMap((core) => planCore(core, ctx.capabilities, budget)),
    specs: backwardSpecs(shape),
    tables: { powers: { values: powersTable(shape.decay) } },
    segmentFlops: budget,
  });
}

export interface LinearBackwardCallOptions extends LinearOptions {
  /** [B, H, D, Dv]: the state that entered the forward pass. Default none. Causal only. */
  readonly state?: TensorView;
  /** [B, H, D, Dv]: the gradient of the state that left the forward pass. Default zero. Causal only. */
  readonly dStateOut?: TensorView;
  /** Where to write the gradient of the entering state; `true` for a new dense tensor, the caller's to destroy. Default nowhere. */
  readonly dState?: TensorView | boolean;
  /** Where to write the gradients; default new dense tensors of q's type, whose buffers are the caller's to destroy. */
  readonly dq?: TensorView;
  readonly dk?: TensorView;
  readonly dv?: TensorView;
}

/**
 * The gradient of linear attention once: plans, records, submits. Options are those of the forward pass.
 *
 * @param q [B, N, H, D]
 * @param k [B, N, H, D]
 * @param v [B, N, H, Dv]
 * @param dOut [B, N, H, Dv]: the gradient of the forward pass's output
 * @throws AttentionError as `planLinearAttentionBackward` and `record`, before anything is submitted
 */
export async function linearAttentionBackward(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  dOut: TensorView,
  options: LinearBackwardCallOptions = {},
): Promise<{ dq: TensorView; dk: TensorView; dv: TensorView; dState?: TensorView }> {
  checkOptions("linearAttentionBackward", options, [...BACKWARD_NAMES, "dq", "dk", "dv"]);
  const problem: LinearBackwardProblem = { ...options, q, k, v, dOut };
  const shape = checkLinearBackward(problem, ctx.capabilities);
  const { state, dStateOut } = options;
  for (const [name, view] of Object.entries({ q, k, v, dOut, state, dStateOut }))
    if (view) checkBuffer(name, view, ctx.capabilities);

  const plan = await planLinearAttentionBackward(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const dState = options.dState === true ? allocate(shape.dState!) : options.dState || undefined;
    const result = {
      dq: options.dq ?? allocate(shape.dq),
      dk: options.dk ?? allocate(shape.dk),
      dv: options.dv ?? allocate(shape.dv),
      ...(dState && { dState }),
    };
    const states = { ...(state && { state }), ...(dStateOut && { dStateOut }) };
    return { tensors: { q, k, v, dOut, ...states, ...result }, result };
  });
}

function backwardSpecs(shape: LinearBackwardShape): Record<string, TensorSpec> {
  const { q, k, v, dOut, state, dStateOut, dq, dk, dv, dState } = shape;
  return {
    q: { layout: q },
    k: { layout: k },
    v: { layout: v },
    dOut: { layout: dOut },
    ...(state && { state: { layout: state } }),
    ...(dStateOut && { dStateOut: { layout: dStateOut } }),
    dq: { layout: dq, output: true },
    dk: { layout: dk, output: true },
    dv: { layout: dv, output: true },
    ...(dState && { dState: { layout: dState, output: true } }),
  };
}

/** @internal The three sums; the scale goes into what meets dO, once. */
export function backwardCores(shape: LinearBackwardShape): LinearCore[] {
  const { causal, decay, scale, featureMap: map } = shape;
  const q = { name: "q", layout: shape.q, map };
  const k = { name: "k", layout: shape.k, map };
  const v = { name: "v", layout: shape.v };
  const dOut = { name: "dOut", layout: shape.dOut };
  const common = { causal, decay };
  const forward = { ...common, backwards: false, scales: { pairs: scale, read: scale, state: 1 } };
  // What enters backward in time, the gradient of the state that left, has no part in the scale.
  const inReverse = { ...common, backwards: causal, scales: { pairs: scale, read: 1, state: scale } };
  const through = (raw: typeof q) => (map === "identity" ? {} : { raw });
  const { state, dStateOut, dState } = shape;
  return [
    {
      ...forward,
      label: "linear/dq",
      q: dOut,
      k: v,
      v: k,
      out: { name: "dq", layout: shape.dq },
      ...through(q),
      ...(state && { initial: named("state", transposed(state)) }),
    },
    {
      ...inReverse,
      label: "linear/dk",
      q: v,
      k: dOut,
      v: q,
      out: { name: "dk", layout: shape.dk },
      ...through(k),
      ...(dStateOut && { initial: named("dStateOut", transposed(dStateOut)) }),
    },
    {
      ...inReverse,
      label: "linear/dv",
      q: k,
      k: q,
      v: dOut,
      out: { name: "dv", layout: shape.dv },
      ...(dStateOut && { initial: named("dStateOut", dStateOut) }),
      ...(dState && { final: named("dState", dState) }),
    },
  ];
}

function named(s: string, layout: TensorLayout): NamedState {
  return { names: { s }, layout: { s: layout } };
}
