import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, checkNumber, expectEqual, fail } from "../../src/dispatch/check.js";
import { broadcastLayout, checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import type { DType, Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import {
  area,
  type CheckedPool,
  checkedPool,
  checkedWindows,
  checkGrid,
  expectWindow,
  type Windows,
} from "./grids.js";
import {
  type AgentOptions,
  type DepthwiseOptions,
  type Grid,
  OPTION_NAMES,
  type PoolOptions,
} from "./options.js";

/** What to plan for: tensor layouts (a `TensorView` is one) and options. B counts windows where there are such. */
export interface AgentProblem extends AgentOptions {
  /** [B, N, H, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, n, H, D] f32 or f16, or how to pool them from q as part of the plan. */
  readonly agents: TensorLayout | PoolOptions;
  /** [B, M, H, D] of q's type */
  readonly k: TensorLayout;
  /** [B, M, H, Dv] of q's type, Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, N, H, Dv] f32 or f16. Default dense, of q's type. */
  readonly out?: TensorLayout;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface AgentShape {
  /** Batch entries, or windows of all of them. */
  readonly entries: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly agents: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly scale: number;
  readonly secondScale: number;
  readonly shortcut?: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  /** Either given, or pooled from q. */
  readonly agentTensor?: TensorLayout;
  readonly pool?: CheckedPool;
  /** [entries, H, n, M] with stride 0 along broadcast axes. */
  readonly agentBias?: TensorLayout;
  /** [entries, H, N, n] with stride 0 along broadcast axes. */
  readonly queryBias?: TensorLayout;
  readonly depthwise?: CheckedDepthwise;
  readonly windows?: Windows;
}

export interface CheckedDepthwise {
  readonly weight: TensorLayout;
  readonly bias?: TensorLayout;
  readonly grid: Grid;
  readonly keyGrid: Grid;
  readonly classTokens: 0 | 1;
}

/** Whether the convolution sees values of another grid, interpolated. */
export function isUpsampled(depthwise: CheckedDepthwise | undefined): boolean {
  return depthwise !== undefined && depthwise.grid.join() !== depthwise.keyGrid.join();
}

const STORAGE: readonly DType[] = ["f32", "f16"];

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for what it does not know or has no meaning
 */
export function checkAgentProblem(problem: AgentProblem, capabilities: Capabilities): AgentShape {
  checkOptions("agentAttention", problem, ["q", "agents", "k", "v", "out", ...OPTION_NAMES]);
  refuseCausal(problem.causal);
  const { q, k, v, windows: givenWindows, shortcut } = problem;
  checkInputs(q, k, v);
  const [batches, , heads, headDim] = q.shape;
  const valueDim = v.shape[3];
  const windows = givenWindows && checkedWindows(givenWindows, { q, k });
  const entries = batches * (windows?.perImage ?? 1);
  const tokensQ = windows ? area(windows.size) : q.shape[1];
  const tokensK = windows ? area(windows.size) : k.shape[1];

  const out = problem.out ?? { dtype: q.dtype, shape: [batches, q.shape[1], heads, valueDim] };
  expectShape("out", out, [batches, q.shape[1], heads, valueDim], STORAGE);

  const { agentTensor, pool } = checkedAgents(problem.agents, [entries, tokensQ, heads, headDim], windows);
  const agents = pool ? area(pool.bins) : agentTensor!.shape[1];
  const agentBias =
    problem.agentBias &&
    broadcastLayout("agentBias", problem.agentBias, [entries, heads, agents, tokensK], AGENT_BIAS_AXES);
  const queryBias =
    problem.queryBias &&
    broadcastLayout("queryBias", problem.queryBias, [entries, heads, tokensQ, agents], QUERY_BIAS_AXES);
  const depthwise =
    problem.depthwise && checkedDepthwise(problem.depthwise, { heads, valueDim, tokensQ, tokensK, windows });
  const { weight, bias } = depthwise ?? {};
  const named = { q, k, v, out, agents: agentTensor, agentBias, queryBias };
  checkBindable({ ...named, "depthwise.weight": weight, "depthwise.bias": bias }, capabilities);

  const { scale = 1 / Math.sqrt(headDim) } = problem;
  checkNumber("scale", scale);
  const { secondScale = scale } = problem;
  checkNumber("secondScale", secondScale);
  if (shortcut !== undefined) {
    checkNumber("shortcut", shortcut);
    if (tokensQ !== tokensK) {
      const fix = "The shortcut adds to every query row the value of the same token.";
      fail("shape", "k.shape[1] (tokens)", `${tokensQ}, as many keys as queries`, tokensK, fix);
    }
  }
  return {
    entries,
    tokensQ,
    tokensK,
    heads,
    agents,
    headDim,
    valueDim,
    scale,
    secondScale,
    q,
    k,
    v,
    out,
    ...(shortcut !== undefined && shortcut !== 0 && { shortcut }),
    ...(agentTensor && { agentTensor }),
    ...(pool && { pool }),
    ...(agentBias && { agentBias }),
    ...(queryBias && { queryBias }),
    ...(depthwise && { depthwise }),
    ...(windows && { windows }),
  };
}

function refuseCausal(causal: unknown): void {
  if (causal === undefined || causal === false) return;
  checkBoolean("causal", causal);
  fail(
    "unsupported",
    "agentAttention causal",
    "no causal mask",
    "true",
    "Each agent gathers all keys, so what a query hears from it comes from later tokens too. Use softmaxAttention or linearAttention.",
  );
}

function checkInputs(q: TensorLayout, k: TensorLayout, v: TensorLayout): void {
  checkLayout("q", q, STORAGE);
  for (const [name, layout] of Object.entries({ k, v })) {
    checkLayout(name, layout, STORAGE);
    if (layout.dtype !== q.dtype)
      fail(
        "dtype",
        `${name}.dtype`,
        `"${q.dtype}", the type of q`,
        `"${layout.dtype}"`,
        "Convert one of the two.",
      );
    expectEqual(`${name}.shape[0] (batch)`, layout.shape[0], q.shape[0], "the batch size of q");
    expectEqual(`${name}.shape[2] (heads)`, layout.shape[2], q.shape[2], "the number of heads of q");
  }
  expectEqual("k.shape[3] (dim)", k.shape[3], q.shape[3], "the head dimension of q");
  expectEqual("v.shape[1] (tokens)", v.shape[1], k.shape[1], "the number of keys");
  checkHeadDims({ q, v });
}

function checkedAgents(
  agents: AgentProblem["agents"],
  [entries, tokensQ, heads, headDim]: Shape4,
  windows: Windows | undefined,
): Pick<AgentShape, "agentTensor" | "pool"> {
  if (typeof agents === "object" && agents !== null && "pool" in agents)
    return { pool: checkedPool("agents", agents, tokensQ, windows) };
  checkLayout("agents", agents, STORAGE);
  expectShape("agents", agents, [entries, agents.shape[1], heads, headDim], STORAGE);
  return { agentTensor: agents };
}

const AGENT_BIAS_AXES = "Its axes are [batch, heads, agents, keys].";
const QUERY_BIAS_AXES = "Its axes are [batch, heads, queries, agents].";

function checkedDepthwise(
  depthwise: DepthwiseOptions,
  sizes: Pick<AgentShape, "heads" | "valueDim" | "tokensQ" | "tokensK"> & { windows: Windows | undefined },
): CheckedDepthwise {
  const { heads, valueDim, tokensQ, tokensK, windows } = sizes;
  checkOptions("depthwise", depthwise, ["weight", "bias", "grid", "keyGrid", "classToken"]);
  const { weight, bias, grid, keyGrid = grid, classToken = false } = depthwise;
  expectShape("depthwise.weight", weight, [1, 9, heads, valueDim], ["f32"]);
  if (bias) {
    expectShape("depthwise.bias", bias, [1, 1, heads, valueDim], ["f32"]);
  }
  checkBoolean("depthwise.classToken", classToken);
  const classTokens = classToken ? 1 : 0;
  checkGrid("depthwise.grid", grid, classTokens, tokensQ, "queries");
  checkGrid("depthwise.keyGrid", keyGrid, classTokens, tokensK, "keys");
  expectWindow("depthwise.grid", grid, windows);
  expectWindow("depthwise.keyGrid", keyGrid, windows);
  return { weight, ...(bias && { bias }), grid, keyGrid, classTokens };
}
