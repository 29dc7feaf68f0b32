import { bytesOf } from "../../src/dispatch/layout.js";
import type { BindingSource, Pass } from "../../src/dispatch/pass.js";
import { bytesPerElement } from "../../src/dispatch/tensor-view.js";
import causalAggregate from "./causal_aggregate.wgsl";
import causalAllocate from "./causal_allocate.wgsl";
import causalConserve from "./causal_conserve.wgsl";
import causalFlows from "./causal_flows.wgsl";
import { featurePass } from "./feature-pass.js";
import {
  type Bindings,
  type Chunks,
  type Cut,
  type Device,
  type Draft,
  dispatches,
  readConditions,
  TILE,
  writeConditions,
} from "./pass-parts.js";
import type { FlowShape } from "./problem.js";
import scanMatrices from "./scan_matrices.wgsl";
import scanVectors from "./scan_vectors.wgsl";
import { cutHeads, type Scratch } from "./scratch.js";
import step from "./step.wgsl";
import { aggregateParts, allocateParts } from "./whole.js";

const lengths: BindingSource = { table: "lengths" };

/**
 * Passes of the causal form: each sum over earlier tokens is a sum over earlier tiles, from a scan over the tiles' own sums, and a
 * masked product inside the tile.
 */
export function planCausal(shape: FlowShape, device: Device): Pass[] {
  const tiles: Chunks = { count: Math.ceil(shape.tokensQ / TILE), tokens: TILE };
  return cutHeads(shape, device.capabilities, tiles, tiles).flatMap(({ cut, scratch }) =>
    [
      featurePass(shape, cut, scratch, "queries"),
      featurePass(shape, cut, scratch, "keys"),
      scanVectorsPass(shape, cut, scratch, "queries"),
      flowPass(shape, cut, scratch),
      scanVectorsPass(shape, cut, scratch, "keys"),
      conservePass(shape, cut, scratch),
      aggregatePass(shape, cut, scratch),
      scanMatricesPass(shape, cut, scratch),
      allocatePass(shape, cut, scratch),
    ].flatMap((draft) => dispatches(shape, cut, draft, device)),
  );
}

/** One token: everything in one dispatch. */
export function planStep(shape: FlowShape, device: Device): Pass[] {
  const { q, k, v, out, batches, heads, headDim, valueDim } = shape;
  const one: Chunks = { count: 1, tokens: TILE };
  const cut: Cut = { firstHead: 0, headCount: batches * heads, queries: one, keys: one };
  const flops = 4 * headDim * valueDim + 12 * headDim;
  const draft: Draft = {
    name: "flow/step",
    kernel: step,
    tensors: [q, k, v, out],
    conditions: [...readConditions(shape), ...writeConditions(shape)],
    bindings: {
      lengths,
      q: { tensor: "q" },
      k: { tensor: "k" },
      v: { tensor: "v" },
      out: { tensor: "out" },
      state: stateBinding(shape),
      state_out: stateOutBinding(shape),
    } satisfies Bindings<"step">,
    groups: cut.headCount,
    work: 4 * flops,
    flops,
    bytes: bytesOf(q, k, v, out, shape.state, shape.stateOut),
  };
  return dispatches(shape, cut, draft, device);
}

function stateBinding({ state }: FlowShape): BindingSource {
  return state ? { tensor: "state" } : { unused: true };
}

function stateOutBinding({ stateOut }: FlowShape): BindingSource {
  return stateOut ? { tensor: "stateOut" } : { unused: true };
}

function flowPass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const flops = TILE * shape.headDim * (2 * TILE + 8);
  return {
    name: "flow/causal_flows",
    kernel: causalFlows,
    bindings: {
      lengths,
      vectors: scratch.vectors,
      queries: scratch.queries,
      keys: scratch.keys,
      products: scratch.products,
      tokens: scratch.tokens,
      state: stateBinding(shape),
    } satisfies Bindings<"causal_flows">,
    groups: cut.headCount * cut.queries.count,
    work: 2 * flops,
    flops,
    bytes: cut.headCount * cut.queries.count * TILE * 4 * (2 * shape.headDim + TILE + 4),
  };
}

function conservePass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const flops = TILE * (4 * TILE + 4 * shape.headDim);
  return {
    name: "flow/causal_conserve",
    kernel: causalConserve,
    bindings: {
      vectors: scratch.vectors,
      queries: scratch.queries,
      keys: scratch.keys,
      products: scratch.products,
      tokens: scratch.tokens,
      conserved: scratch.conserved,
      competition: scratch.competition,
      state: stateBinding(shape),
    } satisfies Bindings<"causal_conserve">,
    groups: cut.headCount * cut.queries.count,
    work: 4 * flops,
    flops,
    bytes: cut.headCount * cut.queries.count * TILE * 4 * (2 * shape.headDim + TILE + 6),
  };
}

function aggregatePass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const { headDim, valueDim, v } = shape;
  const parts = aggregateParts(shape);
  const flops = (TILE * 2 * headDim * valueDim) / parts;
  return {
    name: "flow/causal_aggregate",
    kernel: causalAggregate,
    tensors: [v],
    conditions: readConditions(shape),
    bindings: {
      lengths,
      v: { tensor: "v" },
      keys: scratch.keys,
      matrices: scratch.matrices,
      conserved: scratch.conserved,
      competition: scratch.competition,
      shares: scratch.shares,
      state: stateBinding(shape),
    } satisfies Bindings<"causal_aggregate">,
    groups: cut.headCount * cut.keys.count * parts,
    work: flops + TILE * 128,
    flops,
    bytes:
      cut.headCount *
      cut.keys.count *
      (TILE * (4 * headDim + bytesPerElement(v.dtype) * valueDim) + 4 * headDim * valueDim),
  };
}

function allocatePass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const { headDim, valueDim, v, out } = shape;
  const parts = allocateParts(shape);
  const flops = (TILE * valueDim * (2 * headDim + TILE)) / parts;
  return {
    name: "flow/causal_allocate",
    kernel: causalAllocate,
    tensors: [v, out],
    conditions: [...readConditions(shape), ...writeConditions(shape)],
    bindings: {
      lengths,
      v: { tensor: "v" },
      queries: scratch.queries,
      matrices: scratch.matrices,
      products: scratch.products,
      conserved: scratch.conserved,
      shares: scratch.shares,
      out: { tensor: "out" },
    } satisfies Bindings<"causal_allocate">,
    groups: cut.headCount * cut.queries.count * parts,
    work: flops + (TILE * valueDim * TILE) / parts,
    flops,
    bytes:
      (bytesOf(v, out) * cut.headCount) / (shape.batches * shape.heads) +
      cut.headCount * cut.queries.count * 4 * (TILE * (headDim + TILE) + headDim * valueDim),
  };
}

/** `queries`: the sums of the rows themselves; `keys`: those over their flows. */
function scanVectorsPass(shape: FlowShape, cut: Cut, scratch: Scratch, side: "queries" | "keys"): Draft {
  const elements = 2 * Math.ceil(shape.headDim / 4);
  return {
    name: "flow/scan_vectors",
    kernel: scanVectors,
    side,
    bindings: {
      vectors: scratch.vectors,
      state: stateBinding(shape),
      state_out: stateOutBinding(shape),
    } satisfies Bindings<"scan_vectors">,
    groups: cut.headCount * Math.ceil(elements / TILE),
    work: TILE * cut.queries.count * 8,
    flops: TILE * cut.queries.count * 4,
    bytes: 32 * elements * cut.headCount * cut.queries.count,
  };
}

function scanMatricesPass(shape: FlowShape, cut: Cut, scratch: Scratch): Draft {
  const elements = 4 * Math.ceil(shape.headDim / 4) * Math.ceil(shape.valueDim / 4);
  return {
    name: "flow/scan_matrices",
    kernel: scanMatrices,
    bindings: {
      lengths,
      competition: scratch.competition,
      matrices: scratch.matrices,
      state: stateBinding(shape),
      state_out: stateOutBinding(shape),
    } satisfies Bindings<"scan_matrices">,
    groups: cut.headCount * Math.ceil((elements + 1) / TILE),
    work: TILE * cut.keys.count * 8,
    flops: TILE * cut.keys.count * 4,
    bytes: 32 * elements * cut.headCount * cut.keys.count,
  };
}
