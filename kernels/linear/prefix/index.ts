/** Prefix softmax: causal attention whose scores belong to keys, so that its cost is linear in the tokens. */

import { isBuffer } from "../../../src/dispatch/check.js";
import { type BindablePlan, compilePlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { dispatchFlops } from "../../../src/dispatch/dispatch-budget.js";
import { checkedCounts, type PerBatch, tableCopy } from "../../../src/dispatch/per-batch.js";
import { runOnce } from "../../../src/dispatch/run-once.js";
import type { TensorView } from "../../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../../src/dispatch/validate.js";
import { planPrefixSoftmax } from "./plan.js";
import {
  checkPrefixSoftmax,
  OPTION_NAMES,
  type PrefixSoftmaxOptions,
  type PrefixSoftmaxProblem,
} from "./problem.js";

export type { PrefixSoftmaxOptions, PrefixSoftmaxProblem } from "./problem.js";
export { prefixSoftmaxStateShape } from "./state.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface PrefixSoftmaxTensors {
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

export type PrefixSoftmaxPlan = BindablePlan<PrefixSoftmaxTensors>;

/**
 * Plans prefix softmax, the non-approximate form of Deconstructing Attention (arXiv 2510.11602): with s_j = scale phi(q_j) · k_j,
 * out_i = sum over j <= i of e^(s_j) v_j / sum over j <= i of e^(s_j). A key has the same score for all that see it, so that a running sum is all
 * that a token needs of those before it. Scores may be of any size.
 *
 * Compiles what it needs; nothing is submitted. A row without a visible key is zero.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planPrefixSoftmaxAttention(
  ctx: AttentionContext,
  problem: PrefixSoftmaxProblem,
): Promise<PrefixSoftmaxPlan> {
  const shape = checkPrefixSoftmax(problem, ctx.capabilities);
  const lengths = lengthsTable(problem.keyLengths, shape.batches, shape.tokens);
  const segmentFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const passes = planPrefixSoftmax(shape, ctx.capabilities, segmentFlops);
  await ctx.assertAlive();
  const { q, k, v, out, state, stateOut } = shape;
  return compilePlan<PrefixSoftmaxTensors>(ctx, {
    passes,
    specs: {
      q: { layout: q },
      k: { layout: k },
      v: { layout: v },
      ...(state && { state: { layout: state } }),
      out: { layout: out, output: true },
      ...(stateOut && { stateOut: { layout: stateOut, output: true } }),
    },
    tables: { lengths },
    segmentFlops,
  });
}

/** [B] tokens whose keys count. */
function lengthsTable(given: PerBatch | undefined, batches: number, tokens: number) {
  const values = new Uint32Array(batches).fill(tokens);
  if (given === undefined) return { values };
  if (isBuffer(given)) return { values, copies: [tableCopy("keyLengths", given, 0, batches)] };
  const fix = "Keys of the first so many tokens count.";
  values.set(checkedCounts("keyLengths", given, batches, tokens, { counted: "tokens", fix }));
  return { values };
}

export interface PrefixSoftmaxCallOptions extends PrefixSoftmaxOptions {
  /** What the tokens before these left behind, of `prefixSoftmaxStateShape`. Default nothing. Read only. */
  readonly state?: TensorView;
  /** Where to write [B, N, H, Dv]; default a new dense tensor of q's type, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
  /** Where to leave the state after the last token; `true` for a new tensor, likewise the caller's. Default nowhere. */
  readonly stateOut?: TensorView | boolean;
}

/**
 * Prefix softmax once: plans, records, submits. In a loop over one shape, `planPrefixSoftmaxAttention` saves the planning.
 *
 * @param q [B, N, H, D]
 * @param k [B, N, Hkv, D]
 * @param v [B, N, Hkv, Dv]
 * @throws AttentionError as `planPrefixSoftmaxAttention` and `record`, before anything is submitted
 */
export async function prefixSoftmaxAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: PrefixSoftmaxCallOptions = {},
): Promise<{ out: TensorView; stateOut?: TensorView }> {
  checkOptions("prefixSoftmaxAttention", options, [...OPTION_NAMES, "state", "out", "stateOut"]);
  const problem: PrefixSoftmaxProblem = { ...options, q, k, v };
  const shape = checkPrefixSoftmax(problem, ctx.capabilities);
  const inputs = { q, k, v, ...(options.state && { state: options.state }) };
  for (const [name, view] of Object.entries(inputs)) checkBuffer(name, view, ctx.capabilities);

  const plan = await planPrefixSoftmaxAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const out = options.out ?? allocate(shape.out);
    const stateOut = options.stateOut === true ? allocate(shape.stateOut!) : options.stateOut || undefined;
    const result = { out, ...(stateOut && { stateOut }) };
    return { tensors: { ...inputs, ...result }, result };
  });
}
