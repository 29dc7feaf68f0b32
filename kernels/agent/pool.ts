import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import { runOnce } from "../../src/dispatch/run-once.js";
import type { Shape4, TensorLayout, TensorView } from "../../src/dispatch/tensor-view.js";
import { checkBuffer, checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { area, checkedPool, checkedWindows } from "./grids.js";
import { POOL_NAMES, type PoolOptions, type WindowOptions } from "./options.js";
import { type PoolSources, poolPasses } from "./pool-pass.js";

export interface PoolProblem extends PoolOptions {
  /** [B, N, H, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** Pools each window of an image by itself. Default none. */
  readonly windows?: WindowOptions;
  /** [B, n, H, D] f32, B counting windows where there are such. Default dense. */
  readonly out?: TensorLayout;
}

export interface PoolTensors {
  readonly q: TensorView;
  /** Written. Its buffer is another than q's. */
  readonly out: TensorView;
}

export type PoolPlan = BindablePlan<PoolTensors>;

const NAMES = [...POOL_NAMES, "windows", "out"];

/** Checks a problem without touching the GPU and fills in its defaults. */
export function checkPool(problem: PoolProblem, capabilities: Capabilities): PoolSources {
  checkOptions("poolAgents", problem, ["q", ...NAMES]);
  const { q, windows: givenWindows, grid, pool, classToken = false } = problem;
  checkLayout("q", q, ["f32", "f16"]);
  checkHeadDims({ q });
  const windows = givenWindows && checkedWindows(givenWindows, { q });
  const tokens = windows ? area(windows.size) : q.shape[1];
  const bins = checkedPool("poolAgents", { grid, pool, classToken }, tokens, windows);
  const [batches, , heads, headDim] = q.shape;
  const shape: Shape4 = [batches * (windows?.perImage ?? 1), area(bins.bins), heads, headDim];
  const agents: TensorLayout = problem.out ?? { dtype: "f32", shape };
  expectShape("out", agents, shape, ["f32"]);
  checkBindable({ q, out: agents }, capabilities);
  return { x: { ...q, name: "q" }, bins, windows, agents, target: { tensor: "out" } };
}

/**
 * Plans adaptive average pooling of queries to agents (arXiv 2312.08874): bin a of an axis of length n cut into p averages places
 * floor(a n / p) to ceil((a + 1) n / p) - 1, so bins overlap where p does not divide n.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planPoolAgents(ctx: AttentionContext, problem: PoolProblem): Promise<PoolPlan> {
  const sources = checkPool(problem, ctx.capabilities);
  await ctx.assertAlive();
  const segmentFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const passes = poolPasses(sources, ctx.capabilities, segmentFlops);
  const specs = { q: { layout: problem.q }, out: { layout: sources.agents, output: true } };
  return compilePlan<PoolTensors>(ctx, { passes, specs, segmentFlops });
}

/**
 * Pools agents from queries once. Where they are used for nothing else, `agentAttention` and its plan take the same options in
 * place of agents.
 *
 * @param q [B, N, H, D]
 * @returns [B, n, H, D] f32; a new tensor, whose buffer is the caller's to destroy, unless `options.out` is given
 * @throws AttentionError as `planPoolAgents` and `record`, before anything is submitted
 */
export async function poolAgents(
  ctx: AttentionContext,
  q: TensorView,
  options: Omit<PoolProblem, "q" | "out"> & { readonly out?: TensorView },
): Promise<TensorView> {
  checkOptions("poolAgents", options, NAMES);
  const problem = { ...options, q };
  const { agents } = checkPool(problem, ctx.capabilities);
  checkBuffer("q", q, ctx.capabilities);
  const plan = await planPoolAgents(ctx, problem);
  return runOnce(ctx, plan, (allocate) => {
    const out = options.out ?? allocate(agents);
    return { tensors: { q, out }, result: out };
  });
}
