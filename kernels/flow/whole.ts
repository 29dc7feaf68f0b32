import { bytesOf } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import aggregate from "./aggregate.wgsl";
import allocate from "./allocate.wgsl";
import { featurePass } from "./feature-pass.js";
import flows from "./flows.wgsl";
import merge from "./merge.wgsl";
import {
  type Bindings,
  type Chunks,
  COLUMNS,
  type Cut,
  type Device,
  type Draft,
  dispatches,
  ROWS,
  readConditions,
  TILE,
  writeConditions,
} from "./pass-parts.js";
import type { FlowShape } from "./problem.js";
import { cutHeads, type Scratch } from "./scratch.js";
import totals from "./totals.wgsl";

/**
 * Passes of the form without order: features and their sums, flows and the sums over them, aggregation, allocation. What sums
 * over tokens leaves a sum for each chunk of them, which a small pass adds up.
 */
export function planWhole(shape: FlowShape, device: Device): Pass[] {
  const queries = chunksOf(shape, shape.tokensQ, device);
  const keys = chunksOf(shape, shape.tokensK, device);
  return cutHeads(shape, device.capabilities, queries, keys).flatMap(({ cut, scratch }) =>
    [
      featurePass(shape, cut, scratch, "queries"),
      featurePass(shape, cut, scratch, "keys"),
      totalsPass(shape, cut, scratch, "queries"),
      flowPass(shape, cut, scratch, "queries"),
      flowPass(shape, cut, scratch, "keys"),
      totalsPass(shape, cut, scratch, "keys"),
      aggregatePass(shape, cut, scratch),
      mergePass(shape, cut, scratch),
      allocatePass(shape, cut, scratch),
    ].flatMap((draft) => dispatches(shape, cut, draft, device)),
  );
}

/** Enough chunks that few heads keep a GPU busy, and few enough that adding up their sums costs little. */
function chunksOf({ batches, heads }: FlowShape, tokens: number, { capabilities }: Device): Chunks {
  const tiles = Math.ceil(tokens / TILE);
  const wanted = capabilities.software ? 16 : Math.max(16, Math.ceil(256 / (batches * heads)));
  const length = Math.ceil(tiles / Math.min(tiles, wanted));
  return { count: Math.ceil(tiles / length), tokens: length * TILE };
}

/** `queries`: the sums of the rows themselves; `keys`: those over their flows. */
function totalsPass({ headDim }: FlowShape, cut: Cut, scratch: Scratch, side: "queries" | "keys"): Draft {
  const dim4 = Math.ceil(headDim / 4);
  const rows = (TILE / powerOfTwo(dim4)) * Math.max(cut.queries.count, cut.keys.count);
  return {
    name: "flow/totals",
    kernel: totals,
    side,
    bindings: { vectors: scratch.vectors, totals: scratch.totals } satisfies Bindings<"totals">,
    groups: 2 * cut.headCount,
    work: 4 * rows * dim4,
    flops: 4 * rows * dim4,
    bytes: 32 * cut.headCount * rows * dim4,
  };
}

function flowPass(
  { headDim, tokensQ, tokensK }: FlowShape,
  cut: Cut,
  scratch: Scratch,
  side: "queries" | "keys",
): Draft {
  const { count, tokens } = cut[side];
  const all = cut.headCount * (side === "queries" ? tokensQ : tokensK);
  return {
    name: "flow/flows",
    kernel: flows,
    side,
    bindings: {
      lengths: { table: "lengths" },
      vectors: scratch.vectors,
      features: scratch[side],
      totals: scratch.totals,
    } satisfies Bindings<"flows">,
    groups: cut.headCount * count,
    work: tokens * headDim * 8,
    flops: tokens * headDim * 4,
    bytes: 4 * all * headDim,
  };
}

function aggregatePass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const { headDim, valueDim, tokensK, v } = shape;
  const parts = aggregateParts(shape);
  const { count, tokens } = cut.keys;
  return {
    name: "flow/aggregate",
    kernel: aggregate,
    side: "keys",
    tensors: [v],
    conditions: readConditions(shape),
    bindings: {
      lengths: { table: "lengths" },
      totals: scratch.totals,
      v: { tensor: "v" },
      keys: scratch.keys,
      matrices: scratch.matrices,
      competition: scratch.competition,
    } satisfies Bindings<"aggregate">,
    groups: cut.headCount * count * parts,
    work: tokens * ((2 * headDim * valueDim) / parts + 8 * headDim),
    flops: tokens * ((2 * headDim * valueDim) / parts + 2 * headDim),
    bytes: cut.headCount * 4 * tokensK * (headDim + valueDim),
  };
}

/** Workgroups that share out the blocks of a matrix: PARTS of `outer.wgsl`. */
export function aggregateParts({ headDim, valueDim }: FlowShape): number {
  const blocks = Math.ceil(headDim / ROWS) * Math.ceil(valueDim / (4 * COLUMNS));
  return Math.ceil(blocks / TILE);
}

/** Workgroups that share out the columns of a tile of rows: PARTS of `product.wgsl`. */
export function allocateParts({ valueDim }: FlowShape): number {
  return Math.ceil(valueDim / (4 * COLUMNS * (TILE / ROWS)));
}

function mergePass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const elements = 4 * Math.ceil(shape.headDim / 4) * Math.ceil(shape.valueDim / 4);
  const work = TILE * cut.keys.count * 8;
  return {
    name: "flow/merge",
    kernel: merge,
    bindings: {
      lengths: { table: "lengths" },
      competition: scratch.competition,
      matrices: scratch.matrices,
      aggregated: scratch.aggregated,
    } satisfies Bindings<"merge">,
    side: "keys",
    groups: cut.headCount * Math.ceil(elements / TILE),
    work,
    flops: work,
    bytes: 16 * elements * cut.headCount * (cut.keys.count + 1),
  };
}

function allocatePass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const { headDim, valueDim, tokensQ, out } = shape;
  const parts = allocateParts(shape);
  return {
    name: "flow/allocate",
    kernel: allocate,
    tensors: [out],
    conditions: writeConditions(shape),
    bindings: {
      lengths: { table: "lengths" },
      totals: scratch.totals,
      queries: scratch.queries,
      matrices: scratch.aggregated,
      out: { tensor: "out" },
    } satisfies Bindings<"allocate">,
    groups: cut.headCount * Math.ceil(tokensQ / TILE) * parts,
    work: TILE * ((2 * headDim * valueDim) / parts + 8 * headDim),
    flops: TILE * ((2 * headDim * valueDim) / parts + 4 * headDim),
    bytes: cut.headCount * (4 * tokensQ * headDim + bytesOf(out) / (shape.batches * shape.heads)),
  };
}
