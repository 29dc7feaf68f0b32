/**
 * Linear attention with and without decay (Lightning Attention-2, arXiv 2401.04658; plain linear attention, arXiv 2006.16236):
 * cost linear in tokens, a state that goes on from call to call, and a backward pass.
 */

import { type BindablePlan, compilePlan, type PlanSegment } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { type LinearCore, powersTable } from "./core.js";
import type { LinearForwardOptions, LinearState } from "./options.js";
import { planCore } from "./plan.js";
import { checkLinear, FORWARD_NAMES, type LinearProblem, type LinearShape } from "./problem.js";

export {
  type LinearBackwardCallOptions,
  type LinearBackwardPlan,
  type LinearBackwardTensors,
  linearAttentionBackward,
  planLinearAttentionBackward,
} from "./backward.js";
export { alibiSlopes, type LayerPosition, linearSlopes } from "./decay.js";
export type { FeatureMap, LinearForwardOptions, LinearOptions, LinearState } from "./options.js";
export {
  type PrefixSoftmaxCallOptions,
  type PrefixSoftmaxOptions,
  type PrefixSoftmaxPlan,
  type PrefixSoftmaxProblem,
  type PrefixSoftmaxTensors,
  planPrefixSoftmaxAttention,
  prefixSoftmaxAttention,
  prefixSoftmaxStateShape,
} from "./prefix/index.js";
export type { LinearBackwardProblem, LinearProblem } from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface LinearTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** Written. All that is written has a buffer of its own, and none of the inputs'. */
  readonly out: TensorView;
  /** When the plan was made with one. */
  readonly state?: LinearState<TensorView>;
  /** Written, when the plan was made with it. Other buffers than `state`: a loop over tokens takes two in turn. */
  readonly stateOut?: LinearState<TensorView>;
}

export type LinearPlan = BindablePlan<LinearTensors>;
export type LinearSegment = PlanSegment<LinearTensors>;

/**
 * Plans linear attention: S_t = e^-s S_(t-1) + φ(k_t) v_tᵀ and o_t = scale φ(q_t) S_t, divided by scale φ(q_t) · z_t + epsilon where
 * `normalize` is on. Causal, up to 16 tokens
 * (and 256 heads) are one dispatch that takes them through the state; more are cut into blocks.
 *
 * The state is f32. Its entries and the outputs grow with the number of tokens where nothing decays; prefer f32 outputs.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planLinearAttention(
  ctx: AttentionContext,
  problem: LinearProblem,
): Promise<LinearPlan> {
  const shape = checkLinear(problem, ctx.capabilities);
  await ctx.assertAlive();
  const budget = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const plan = await compilePlan<Record<string, TensorView | undefined>>(ctx, {
    passes: planCore(forwardCore(shape), ctx.capabilities, budget),
    specs: forwardSpecs(shape),
    tables: { powers: { values: powersTable(shape.decay) } },
    segmentFlops: budget,
  });
  const record =
    (part: PlanSegment<Record<string, TensorView | undefined>>): LinearPlan["record"] =>
    (encoder, tensors, options) =>
      part.record(encoder, flatTensors(tensors), options);
  return {
    ...plan,
    record: record(plan),
    bind: (tensors) => plan.bind(flatTensors(tensors)),
    segments: plan.segments.map((segment) => ({ ...segment, record: record(segment) })),
  };
}

export interface LinearCallOptions extends LinearForwardOptions {
  /** What the tokens before these left behind. Default nothing. Causal only. */
  readonly state?: LinearState<TensorView>;
  /** Where to leave the state after the last token; `true` for new dense tensors, which are the caller's to destroy. Default nowhere. */
  readonly stateOut?: LinearState<TensorView> | boolean;
  /** Where to write [B, N, H, Dv]; default a new dense tensor of q's type, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
}

/**
 * Linear attention once: plans, records, submits. In a loop over one shape, `planLinearAttention` saves the planning.
 *
 * @param q [B, N, H, D]
 * @param k [B, N, H, D]
 * @param v [B, N, H, Dv]
 * @throws AttentionError as `planLinearAttention` and `record`, before anything is submitted
 */
export async function linearAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: LinearCallOptions = {},
): Promise<{ out: TensorView; stateOut?: LinearState<TensorView> }> {
  checkOptions("linearAttention", options, [...FORWARD_NAMES, "out"]);
  const problem: LinearProblem = { ...options, q, k, v };
  const shape = checkLinear(problem, ctx.capabilities);
  const given = { q, k, v, "state.s": options.state?.s, "state.z": options.state?.z };
  for (const [name, view] of Object.entries(given)) if (view) checkBuffer(name, view, ctx.capabilities);

  const plan = await planLinearAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const newState = ({ s, z }: LinearState) => ({ s: allocate(s), ...(z && { z: allocate(z) }) });
    const { state } = options;
    const out = options.out ?? allocate(shape.out);
    const stateOut = options.stateOut === true ? newState(shape.stateOut!) : options.stateOut || undefined;
    const result = { out, ...(stateOut && { stateOut }) };
    return { tensors: { q, k, v, ...(state && { state }), ...result }, result };
  });
}

function flatTensors({ state, stateOut, ...rest }: LinearTensors): Record<string, TensorView | undefined> {
  return {
    ...rest,
    ...(state && { "state.s": state.s }),
    ...(state?.z && { "state.z": state.z }),
    ...(stateOut && { "stateOut.s": stateOut.s }),
    ...(stateOut?.z && { "stateOut.z": stateOut.z }),
  };
}

function forwardSpecs({ q, k, v, out, state, stateOut }: LinearShape): Record<string, TensorSpec> {
  return {
    q: { layout: q },
    k: { layout: k },
    v: { layout: v },
    ...(state && { "state.s": { layout: state.s } }),
    ...(state?.z && { "state.z": { layout: state.z } }),
    out: { layout: out, output: true },
    ...(stateOut && { "stateOut.s": { layout: stateOut.s, output: true } }),
    ...(stateOut?.z && { "stateOut.z": { layout: stateOut.z, output: true } }),
  };
}

/** @internal */
export function forwardCore(shape: LinearShape): LinearCore {
  const { q, k, v, out, state, stateOut, scale, featureMap, normalize, epsilon, causal, decay } = shape;
  const names = (prefix: string) => ({ s: `${prefix}.s`, ...(normalize && { z: `${prefix}.z` }) });
  return {
    label: "linear",
    q: { name: "q", layout: q, map: featureMap },
    k: { name: "k", layout: k, map: featureMap },
    v: { name: "v", layout: v },
    out: { name: "out", layout: out },
    causal,
    backwards: false,
    decay,
    scales: { pairs: scale, read: scale, state: 1 },
    ...(normalize && { epsilon }),
    ...(state && { initial: { names: names("state"), layout: state } }),
    ...(stateOut && { final: { names: names("stateOut"), layout: stateOut } }),
  };
}
