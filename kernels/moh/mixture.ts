import { joinBound } from "../../src/dispatch/bound-plan.js";
import type { BindablePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import { bindTensors, type TensorSpec } from "../../src/dispatch/tensor-set.js";
import {
  bytesPerElement,
  extentOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { checkBuffer } from "../../src/dispatch/validate.js";
import { planLinear } from "../_layers/index.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import {
  checkMixture,
  type InputProjection,
  type MixtureOfHeadOptions,
  type MixtureOfHeadProblem,
  type MixtureOfHeadWeights,
  type MixtureParts,
} from "./mixture-problem.js";
import { planHeadProjection } from "./projection.js";
import type { HeadProjectionProblem } from "./projection-problem.js";
import { recordWith, segmentWith, withShare } from "./record-with.js";
import { planHeadRouter } from "./router.js";
import { type HeadRouterProblem, listsLayout, WEIGHT_NAMES } from "./router-problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface MixtureOfHeadTensors {
  readonly x: TensorView;
  readonly weights: MixtureOfHeadWeights<TensorView>;
  /** Where they are not made of x. */
  readonly q?: TensorView;
  readonly k?: TensorView;
  readonly v?: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
  /** Written, when the plan was made with them. */
  readonly gates?: TensorView;
  readonly loss?: TensorView;
}

export type MixtureOfHeadPlan = BindablePlan<MixtureOfHeadTensors>;

type Views = Readonly<Record<string, TensorView>>;

/** A plan inside; it takes its tensors from those of the whole and those held between. */
type Step = BindablePlan<Views>;

/**
 * Plans mixture-of-head attention (arXiv 2410.11842): y_t = b + sum over the heads h active for token t of g_th · W_h · o_th, where
 * o is softmax attention. For heads that are not active neither scores nor values nor the head's part of the output projection are
 * computed, except that on a GPU up to 8 tokens attend with all heads; keys and values are those of all tokens.
 *
 * Compiles what it needs; nothing is submitted. The plan holds what its parts hand to each other (`ctx.memory()` counts it) until
 * `destroy()`.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planMixtureOfHeadAttention(
  ctx: AttentionContext,
  problem: MixtureOfHeadProblem,
): Promise<MixtureOfHeadPlan> {
  const parts = checkMixture(problem, ctx.capabilities);
  await ctx.assertAlive();
  const buffers: GPUBuffer[] = [];
  const hold = (layout: TensorLayout): TensorView => {
    const buffer = ctx.scratch.hold(bytesPerElement(layout.dtype) * extentOf(layout).end);
    buffers.push(buffer);
    return { ...layout, buffer };
  };
  const release = () => {
    for (const buffer of buffers) ctx.scratch.release(buffer);
  };
  let held: Views;
  let steps: readonly Step[];
  try {
    held = {
      ...Object.fromEntries(parts.projections.map(({ name, heads }) => [name, hold(heads)])),
      ...(!problem.gates && { gates: hold(parts.output.gates) }),
      ...(parts.lists && { lists: hold(listsLayout(parts.output.gates.shape)) }),
      attended: hold(parts.attention.out),
    };
    steps = await planSteps(ctx, parts, held);
  } catch (error) {
    release();
    throw error;
  }
  const specs = specsOf(problem, parts);
  const views = (tensors: MixtureOfHeadTensors): Views => {
    const given = flat(tensors);
    bindTensors(specs, given, ctx.capabilities);
    return { ...given, ...held } as Views;
  };
  return {
    passes: steps.flatMap(({ passes }) => passes),
    cost: sumCosts(steps.map(({ cost }) => cost)),
    record(encoder, tensors, options) {
      ctx.assertUsable();
      const all = views(tensors);
      for (const step of steps) step.record(encoder, all, options);
    },
    bind(tensors) {
      ctx.assertUsable();
      const all = views(tensors);
      return joinBound(steps.map((step) => step.bind(all)));
    },
    segments: steps.flatMap(({ segments }) => segments).map((segment) => segmentWith(segment, views)),
    destroy() {
      for (const step of steps) step.destroy();
      release();
    },
  };
}

/** The plans inside, in the order in which they are recorded; those that were made go when another cannot be. */
async function planSteps(ctx: AttentionContext, parts: MixtureParts, held: Views): Promise<Step[]> {
  const planned = await Promise.allSettled([
    ...parts.projections.map((projection) => planInput(ctx, parts.x, projection)),
    planRouter(ctx, parts.router),
    planAttention(ctx, parts, held.lists?.buffer),
    planOutput(ctx, parts.output, held.lists?.buffer),
  ]);
  const steps = planned.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failure = planned.find((result) => result.status === "rejected");
  if (!failure) return steps;
  for (const step of steps) step.destroy();
  throw failure.reason;
}

async function planInput(ctx: AttentionContext, x: TensorLayout, projection: InputProjection): Promise<Step> {
  const { name, weightName, weight, biasName, bias, heads } = projection;
  const [batches, tokens, count, dim] = heads.shape;
  const merged = { dtype: "f32", shape: [batches, tokens, 1, count * dim] } as const;
  const plan = await planLinear(ctx, { x, weight, ...(bias && { bias }), out: merged });
  return recordWith(plan, (views: Views) => ({
    x: views.x!,
    weight: views[`weights.${weightName}`]!,
    ...(bias && { bias: views[`weights.${biasName}`]! }),
    out: { ...merged, buffer: views[name]!.buffer },
  }));
}

async function planRouter(ctx: AttentionContext, problem: HeadRouterProblem): Promise<Step> {
  const { x, q, loss, lists } = problem;
  const plan = await planHeadRouter(ctx, problem);
  return recordWith(plan, (views: Views) => ({
    ...(x && { x: views.x! }),
    ...(q && { q: views.q! }),
    ...Object.fromEntries(
      WEIGHT_NAMES.flatMap((name) => (problem[name] ? [[name, views[`weights.${name}`]]] : [])),
    ),
    gates: views.gates!,
    ...(lists && { lists: views.lists!.buffer }),
    ...(loss && { loss: views.loss! }),
  }));
}

async function planAttention(
  ctx: AttentionContext,
  { attention, attendsToLists, share }: MixtureParts,
  lists: GPUBuffer | undefined,
): Promise<Step> {
  const queryRows = attendsToLists ? lists : undefined;
  const plan = await planSoftmaxAttention(ctx, { ...attention, ...(queryRows && { queryRows }) });
  // Softmax attention does not know how many rows will be listed: the router does.
  return recordWith(queryRows ? withShare(plan, share) : plan, ({ q, k, v, bias, attended }: Views) => ({
    ...{ q: q!, k: k!, v: v!, out: attended! },
    ...(attention.bias && { bias: bias! }),
  }));
}

async function planOutput(
  ctx: AttentionContext,
  problem: HeadProjectionProblem,
  lists: GPUBuffer | undefined,
): Promise<Step> {
  const plan = await planHeadProjection(ctx, problem);
  return recordWith(plan, (views: Views) => ({
    ...{ attended: views.attended!, gates: views.gates!, weight: views["weights.out"]! },
    ...(lists && { lists }),
    ...(problem.bias && { bias: views["weights.outBias"]! }),
    out: views.out!,
  }));
}

function specsOf(problem: MixtureOfHeadProblem, parts: MixtureParts): Record<string, TensorSpec> {
  const { x, weights, q, k, v, bias } = problem;
  const inputs = { ...flatWeights(weights), x, q, k, v, bias };
  return {
    ...Object.fromEntries(
      Object.entries(inputs).flatMap(([name, layout]) => (layout ? [[name, { layout }]] : [])),
    ),
    out: { layout: parts.output.out, output: true },
    ...(problem.gates && { gates: { layout: parts.output.gates, output: true } }),
    ...(parts.loss && { loss: { layout: parts.loss, output: true } }),
  };
}

/** Weights by names of one level, as checks and their messages have them. */
function flatWeights<Tensor extends TensorLayout>(
  weights: MixtureOfHeadWeights<Tensor>,
): Record<string, Tensor | undefined> {
  return Object.fromEntries(Object.entries(weights).map(([name, tensor]) => [`weights.${name}`, tensor]));
}

function flat({ weights, ...tensors }: MixtureOfHeadTensors): Record<string, TensorView | undefined> {
  return { ...tensors, ...flatWeights(weights) };
}

export interface MixtureOfHeadCallOptions extends MixtureOfHeadOptions<TensorView> {
  /** Where to write [B, T, 1, C']; default a new dense tensor of f32, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
  /** Where to leave the gates [B, T, H, 1]; `true` for a new tensor, likewise the caller's. Default nowhere. */
  readonly gates?: TensorView | boolean;
  /** Where to leave the load-balance loss [1, 1, 1, 1]; `true` for a new tensor. Default nowhere. */
  readonly loss?: TensorView | boolean;
}

/**
 * Mixture-of-head attention once: plans, records, submits. In a loop over one shape, `planMixtureOfHeadAttention` saves the planning.
 *
 * @param x [B, T, 1, C]: the layer's input, which the learned router looks at, and of which q, k and v are made where they are not
 *   given
 * @param weights around the heads
 * @throws AttentionError as `planMixtureOfHeadAttention` and `record`, before anything is submitted
 */
export async function mixtureOfHeadAttention(
  ctx: AttentionContext,
  x: TensorView,
  weights: MixtureOfHeadWeights<TensorView>,
  options: MixtureOfHeadCallOptions,
): Promise<{ out: TensorView; gates?: TensorView; loss?: TensorView }> {
  const problem: MixtureOfHeadProblem = { ...options, x, weights };
  const parts = checkMixture(problem, ctx.capabilities);
  const { q, k, v, bias } = options;
  const inputs = { x, ...(q && { q }), ...(k && { k }), ...(v && { v }), ...(bias && { bias }) };
  for (const [name, view] of Object.entries({ ...inputs, ...flatWeights(weights) }))
    if (view) checkBuffer(name, view, ctx.capabilities);

  const plan = await planMixtureOfHeadAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const out = options.out ?? allocate(parts.output.out);
    const gates = options.gates === true ? allocate(parts.output.gates) : options.gates || undefined;
    const loss = options.loss === true ? allocate(parts.loss!) : options.loss || undefined;
    const result = { out, ...(gates && { gates }), ...(loss && { loss }) };
    return { tensors: { ...inputs, weights, ...result }, result };
  });
}
