import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import { stridesOf } from "../../src/dispatch/tensor-view.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import aggregate from "./aggregate.wgsl";
import broadcast from "./broadcast.wgsl";
import { pairWork, valueTermWork } from "./effort.js";
import merge from "./merge.wgsl";
import {
  type Bindings,
  checkScratch,
  problemConstants,
  problemUniforms,
  scratchOf,
  vec4Condition,
} from "./pass-parts.js";
import { agentRows, poolPasses } from "./pool-pass.js";
import type { AgentShape } from "./problem.js";
import {
  aggregateGroups,
  aggregateTile,
  broadcastTile,
  columnParts,
  keySplits,
  queryLines,
} from "./sizes.js";
import taps from "./taps.wgsl";

type Scratch = ReturnType<typeof scratchOf>;

/**
 * Chooses passes, variants and constants for a checked problem. Pure: the same problem gives the same passes.
 *
 * @throws AttentionError "limit" when the agents do not fit in a binding
 */
export function planAgents(
  shape: AgentShape,
  capabilities: Capabilities,
  maxDispatchFlops = Number.POSITIVE_INFINITY,
): Pass[] {
  const vec4 = vec4Condition(capabilities, shape.k, shape.v).length > 0;
  const tile = aggregateTile(shape, capabilities);
  const parts = columnParts(shape, tile);
  const keyWork =
    (tile.threads * tile.rows * pairWork(shape, vec4, shape.agentBias !== undefined, parts)) / parts;
  const splits = keySplits(shape, capabilities, tile, {
    demanded: Math.ceil((shape.tokensK * keyWork) / maxDispatchFlops),
    held: Math.floor(capabilities.limits.maxStorageBufferBindingSize / scratchOf(shape, 1).partialOut.bytes),
  });
  const scratch = scratchOf(shape, splits);
  checkScratch(scratch, capabilities);
  return [
    ...agentPasses(shape, capabilities, maxDispatchFlops, scratch),
    ...aggregatePasses(shape, capabilities, maxDispatchFlops, scratch, splits, keyWork),
    ...mergePasses(shape, capabilities, maxDispatchFlops, scratch, splits),
    ...(shape.depthwise ? [tapsPass(shape, capabilities, scratch)] : []),
    ...broadcastPasses(shape, capabilities, maxDispatchFlops, scratch),
  ];
}

/** Agents as rows of whole vec4 in f32: pooled from q, or gathered from their tensor, each in a bin by itself. */
function agentPasses(
  shape: AgentShape,
  capabilities: Capabilities,
  budget: number,
  scratch: Scratch,
): Pass[] {
  const { entries, agents, heads, headDim, pool, windows } = shape;
  const rows = agentRows([entries, agents, heads, headDim]);
  if (pool) {
    const x = { ...shape.q, name: "q" };
    return poolPasses({ x, bins: pool, windows, agents: rows, target: scratch.agents }, capabilities, budget);
  }
  const x = { ...shape.agentTensor!, name: "agents" };
  const bins = { grid: [agents, 1], bins: [agents, 1], classTokens: 0 } as const;
  return poolPasses(
    { x, bins, windows: undefined, agents: rows, target: scratch.agents },
    capabilities,
    budget,
  );
}

function aggregatePasses(
  shape: AgentShape,
  capabilities: Capabilities,
  budget: number,
  scratch: Scratch,
  splits: number,
  keyWork: number,
): Pass[] {
  const { k, v, agentBias, entries, heads, agents, tokensK, headDim, valueDim } = shape;
  const tile = aggregateTile(shape, capabilities);
  const { threads: THREADS, rows: ROWS, keys: KEYS, columns: COLUMNS, subgroups } = tile;
  const pass = {
    name: "agent/aggregate",
    kernel: aggregate,
    variant: variantKey(aggregate, [
      ...vec4Condition(capabilities, k, v),
      ...(k.dtype === "f16" ? ["half"] : []),
      ...(subgroups ? ["subgroups"] : []),
    ]),
    constants: {
      ...problemConstants(shape, aggregate),
      ...{ THREADS, ROWS, KEYS, COLUMNS, SPLITS: splits, EVEN_TILES: tokensK % KEYS === 0 },
    },
    unroll: { ROWS, KEYS, COLUMNS, ...quadCounts(KEYS, subgroups) },
    bindings: {
      k: { tensor: "k" },
      v: { tensor: "v" },
      agents: scratch.agents,
      agent_bias: agentBias ? { tensor: "agentBias" } : { unused: true },
      partial_out: scratch.partialOut,
      partial_state: scratch.partialState,
    } satisfies Bindings<"aggregate">,
  };
  const groups = aggregateGroups(shape, tile) * splits;
  const flops =
    (2 * entries * heads * agents * tokensK * (columnParts(shape, tile) * headDim + valueDim)) / groups;
  const work = Math.ceil(tokensK / splits / KEYS) * KEYS * keyWork;
  const runs = cutWorkgroups([{ work, flops }], groups, budget);
  const bytes =
    bytesOf(k, v, agentBias) + scratch.agents.bytes + scratch.partialOut.bytes + scratch.partialState.bytes;
  return runPasses(
    pass,
    (run) => ({ params: problemUniforms(shape, capabilities, run) }),
    capabilities,
    runs,
    bytes,
  );
}

const MERGE_THREADS = 64;

function mergePasses(
  shape: AgentShape,
  capabilities: Capabilities,
  budget: number,
  scratch: Scratch,
  splits: number,
): Pass[] {
  const { partialOut, partialState, agentValues } = scratch;
  const pass = {
    name: "agent/merge",
    kernel: merge,
    variant: variantKey(merge, []),
    constants: { ...problemConstants(shape, merge), SPLITS: splits },
    bindings: {
      partial_out: partialOut,
      partial_state: partialState,
      agent_values: agentValues,
    } satisfies Bindings<"merge">,
  };
  const flops = MERGE_THREADS * splits * 2 * 5;
  const runs = cutWorkgroups(
    [{ work: 4 * flops, flops }],
    Math.ceil(agentValues.bytes / 16 / MERGE_THREADS),
    budget,
  );
  const bytes = partialOut.bytes + partialState.bytes + agentValues.bytes;
  return runPasses(
    pass,
    (run) => ({ params: problemUniforms(shape, capabilities, run) }),
    capabilities,
    runs,
    bytes,
  );
}

const TAPS_THREADS = 64;

function tapsPass(shape: AgentShape, capabilities: Capabilities, scratch: Scratch): Pass {
  const { weight, bias } = shape.depthwise!;
  const count = Math.ceil(scratch.taps.bytes / 16 / TAPS_THREADS);
  return {
    name: "agent/taps",
    kernel: taps,
    variant: variantKey(taps, []),
    constants: { VALUE_DIM: shape.valueDim, HAS_CONVOLUTION_BIAS: bias !== undefined },
    workgroups: spreadWorkgroups(count, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: {
      weight: { tensor: "depthwiseWeight" },
      bias: bias ? { tensor: "depthwiseBias" } : { unused: true },
      taps: scratch.taps,
    } satisfies Bindings<"taps">,
    uniforms: {
      params: {
        strides_weight: stridesOf(weight),
        strides_bias: bias ? stridesOf(bias) : [0, 0, 0, 0],
        base_weight: bindingRange(weight, capabilities).base,
        base_bias: bias ? bindingRange(bias, capabilities).base : 0,
        heads: shape.heads,
      },
    },
    cost: { flops: 0, bytes: bytesOf(weight, bias) + scratch.taps.bytes },
  };
}

function broadcastPasses(
  shape: AgentShape,
  capabilities: Capabilities,
  budget: number,
  scratch: Scratch,
): Pass[] {
  const { q, v, out, queryBias, depthwise, shortcut, entries, heads, agents, tokensQ, headDim, valueDim } =
    shape;
  const tile = broadcastTile(shape, capabilities);
  const { threads: THREADS, rows: ROWS, keys: KEYS, columns: COLUMNS, subgroups } = tile;
  const parts = columnParts(shape, tile);
  const readsV = depthwise !== undefined || shortcut !== undefined;
  const vec4 = vec4Condition(capabilities, q, out, ...(readsV ? [v] : []));
  const pass = {
    name: "agent/broadcast",
    kernel: broadcast,
    variant: variantKey(broadcast, [
      ...vec4,
      ...(q.dtype === "f16" ? ["half"] : []),
      ...(out.dtype === "f16" ? ["half_out"] : []),
      ...(subgroups ? ["subgroups"] : []),
    ]),
    constants: {
      ...problemConstants(shape, broadcast),
      ...{ THREADS, ROWS, KEYS, COLUMNS, EVEN_TILES: agents % KEYS === 0 },
      EVEN_RUNS: queryLines(shape)[1] % ROWS === 0,
    },
    unroll: {
      ...{ ROWS, KEYS, COLUMNS, ...quadCounts(KEYS, subgroups) },
      ...{ SIDE: 3, HALO: ROWS + 2, ALL_TAPS: 10, TAP_QUADS: 3 },
      // A driver on a CPU reads memory as fast as it spills registers, and compiles a loop in a sixteenth of the time.
      ...(!capabilities.software && { TERM_COLUMNS: COLUMNS }),
    },
    bindings: {
      q: { tensor: "q" },
      v: readsV ? { tensor: "v" } : { unused: true },
      out: { tensor: "out" },
      agents: scratch.agents,
      agent_values: scratch.agentValues,
      query_bias: queryBias ? { tensor: "queryBias" } : { unused: true },
      taps: depthwise ? scratch.taps : { unused: true },
    } satisfies Bindings<"broadcast">,
  };
  const [lines, line] = queryLines(shape);
  const runsOfQueries = (depthwise?.classTokens ?? 0) + lines * Math.ceil(line / ROWS);
  const groups = Math.ceil(runsOfQueries / THREADS) * heads * parts * entries;
  const pairs = 2 * agents * (parts * headDim + valueDim);
  const flops = (entries * heads * tokensQ * (pairs + (depthwise ? 18 * valueDim : 0))) / groups;
  const perQuery =
    agents * pairWork(shape, vec4.length > 0, queryBias !== undefined, parts) + valueTermWork(shape);
  const runs = cutWorkgroups([{ work: (THREADS * ROWS * perQuery) / parts, flops }], groups, budget);
  const bytes =
    bytesOf(q, out, queryBias, readsV ? v : undefined) + scratch.agents.bytes + scratch.agentValues.bytes;
  return runPasses(
    pass,
    (run) => ({ params: problemUniforms(shape, capabilities, run) }),
    capabilities,
    runs,
    bytes,
  );
}

/** Loops over what a thread reads itself. */
function quadCounts(keys: number, subgroups: boolean): Record<string, number> {
  const quads = Math.ceil(keys / 4);
  return { KEY_QUADS: quads, OWN_KEYS: subgroups ? quads : keys };
}
