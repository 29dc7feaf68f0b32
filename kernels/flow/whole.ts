import { bytesOf } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
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

/**
 * Passes of the form without order: features and their sums, flows and the sums over them, aggregation, allocation. Each but the
 * last leaves sums for chunks of tokens, and whoever needs a whole sum adds them up itself.
 */
export function planWhole(shape: FlowShape, device: Device): Pass[] {
  const queries = chunksOf(shape, shape.tokensQ, device);
  const keys = chunksOf(shape, shape.tokensK, device);
  return cutHeads(shape, device.capabilities, queries, keys).flatMap(({ cut, scratch }) =>
    [
      featurePass(shape, cut, scratch, "queries"),
      featurePass(shape, cut, scratch, "keys"),
      flowPass(shape, cut, scratch, "queries"),
      flowPass(shape, cut, scratch, "keys"),
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
      vectors: scratch.vectors,
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
      vectors: scratch.vectors,
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
