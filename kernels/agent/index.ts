/**
 * Agent attention (arXiv 2312.08874): queries attend to a few agents, which attend to the keys, in O(N n D). `agentAttention` once,
 * `planAgentAttention` for hot loops; `poolAgents` makes agents of queries, `bakeAgentBiases` makes biases of a checkpoint's.
 */

import { type BindablePlan, compilePlan, type PlanSegment } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkOptions } from "../../src/dispatch/validate.js";
import { type AgentOptions, OPTION_NAMES, type PoolOptions } from "./options.js";
import { planAgents } from "./plan.js";
import { type AgentProblem, type AgentShape, checkAgentProblem } from "./problem.js";

export { type AgentBiases, type AgentBiasSizes, bakeAgentBiases } from "./bake-biases.js";
export { type DiffusionAgents, diffusionAgents } from "./diffusion.js";
export type { AgentOptions, DepthwiseOptions, Grid, PoolOptions, WindowOptions } from "./options.js";
export { type PoolPlan, type PoolProblem, type PoolTensors, planPoolAgents, poolAgents } from "./pool.js";
export type { AgentProblem } from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface AgentTensors {
  readonly q: TensorView;
  /** Unless the plan pools them from q. */
  readonly agents?: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one; so for all that follow. */
  readonly agentBias?: TensorView;
  readonly queryBias?: TensorView;
  readonly depthwiseWeight?: TensorView;
  readonly depthwiseBias?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

export type AgentPlan = BindablePlan<AgentTensors>;

/** A part of a plan that is submitted by itself. */
export type AgentSegment = PlanSegment<AgentTensors>;

/**
 * Plans agent attention (arXiv 2312.08874):
 *
 *     V_A = softmax(scale A Kᵀ + B1) V        out = softmax(secondScale Q Aᵀ + B2) V_A + convolution(V) + shortcut V
 *
 * Compiles what it needs; nothing is submitted. An agent that sees no key has value zero, and a query that sees no agent gets zero
 * beside the terms of V. `record` takes `depthwise.weight` and `depthwise.bias` as `depthwiseWeight` and `depthwiseBias`.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planAgentAttention(ctx: AttentionContext, problem: AgentProblem): Promise<AgentPlan> {
  const shape = checkAgentProblem(problem, ctx.capabilities);
  await ctx.assertAlive();
  const segmentFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const passes = planAgents(shape, ctx.capabilities, segmentFlops);
  return compilePlan<AgentTensors>(ctx, { passes, specs: tensorSpecs(shape, problem), segmentFlops });
}

function tensorSpecs(shape: AgentShape, { agentBias, queryBias }: AgentProblem): Record<string, TensorSpec> {
  const { q, k, v, out, agentTensor: agents, depthwise } = shape;
  const inputs = {
    ...{ q, k, v, agents, agentBias, queryBias },
    ...{ depthwiseWeight: depthwise?.weight, depthwiseBias: depthwise?.bias },
  };
  const given = Object.entries(inputs).flatMap(([name, layout]) => (layout ? [[name, { layout }]] : []));
  return { ...Object.fromEntries(given), out: { layout: out, output: true } };
}

export interface AgentCallOptions extends AgentOptions<TensorView> {
  /** Where to write [B, N, H, Dv]; default a new dense tensor, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
}

/**
 * Agent attention once: plans, records, submits. In a loop over one shape, `planAgentAttention` saves the planning.
 *
 * @param q [B, N, H, D]
 * @param agents [B, n, H, D], or how to pool them from q
 * @param k [B, M, H, D]
 * @param v [B, M, H, Dv]
 * @returns out [B, N, H, Dv]
 * @throws AttentionError as `planAgentAttention` and `record`, before anything is submitted
 */
export async function agentAttention(
  ctx: AttentionContext,
  q: TensorView,
  agents: TensorView | PoolOptions,
  k: TensorView,
  v: TensorView,
  options: AgentCallOptions = {},
): Promise<{ out: TensorView }> {
  checkOptions("agentAttention", options, [...OPTION_NAMES, "out"]);
  const problem: AgentProblem = { ...options, q, agents, k, v };
  const shape = checkAgentProblem(problem, ctx.capabilities);
  const { agentBias, queryBias, depthwise } = options;
  const inputs = {
    ...{ q, k, v },
    ...(shape.agentTensor && { agents: agents as TensorView }),
    ...(agentBias && { agentBias }),
    ...(queryBias && { queryBias }),
    ...(depthwise && { depthwiseWeight: depthwise.weight }),
    ...(depthwise?.bias && { depthwiseBias: depthwise.bias }),
  };
  for (const [name, view] of Object.entries(inputs)) checkBuffer(name, view, ctx.capabilities);

  const plan = await planAgentAttention(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const out = options.out ?? allocate(shape.out);
    return { tensors: { ...inputs, out }, result: { out } };
  });
}
