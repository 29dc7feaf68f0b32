import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf, isVec4, layoutUniforms } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import order from "./order.wgsl";
import project from "./project.wgsl";
import projectRows from "./project_rows.wgsl";
import { type Bindings, type Device, projectPasses } from "./project-pass.js";
import { MAX_CHUNK, type ProjectionForm, projectionForm, tileOf } from "./projection-form.js";
import type { ProjectionShape } from "./projection-problem.js";
import store from "./store.wgsl";

/** Columns of a thread of `project.wgsl`. */
const COLUMNS = 8;
/** vec4 columns of a workgroup of `project_rows.wgsl`, and threads that share out the channels of each. */
const ROW_COLUMNS = 16;
const ROW_LANES = 4;
const STORE_THREADS = 64;
/** Slots of the context's scratch: sums whose output is f16, tokens in order, heads of tiles. */
const SLOTS = { sums: 0, order: 1, tileHeads: 2 };

/** Passes of a checked projection. Pure: the same problem gives the same passes. */
export function projectionPasses(
  given: ProjectionShape,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): Pass[] {
  if (given.out.dtype === "f32")
    return sumPasses(given, { capabilities, maxDispatchFlops, target: { tensor: "out" } });
  const out = sumsLayout(given);
  const target = { scratch: SLOTS.sums, bytes: 4 * given.batches * stridesOf(out)[0] };
  const device = { capabilities, maxDispatchFlops, target };
  return [...sumPasses({ ...given, out }, device), ...storePasses(given, device)];
}

function sumPasses(shape: ProjectionShape, device: Device): Pass[] {
  const { heads, sharedHeads, topK } = shape;
  const form = projectionForm(shape, device.capabilities);
  switch (form) {
    case "rows":
      return fewTokens(shape, device);
    case "dense":
      return tiled(shape, form, 0, heads, device);
    case "ordered":
      return [...orderPasses(shape, device), ...tiled(shape, form, 0, heads, device)];
    case "listed": {
      const routed = Array.from({ length: topK > 0 ? heads - sharedHeads : 0 }, (_, e) => sharedHeads + e);
      return [
        ...tiled(shape, "dense", 0, sharedHeads, device),
        ...routed.flatMap((head) => tiled(shape, form, head, 1, device)),
      ];
    }
  }
}

/** Where the passes that sort tokens leave what they found. */
function orderSources({ batches, tokens, heads }: ProjectionShape, rows: number) {
  const tiles = batches * Math.ceil(tokens / rows);
  return {
    order: { scratch: SLOTS.order, bytes: 4 * batches * tokens },
    tileHeads: { scratch: SLOTS.tileHeads, bytes: 4 * tiles * (1 + heads) },
  };
}

function orderPasses(shape: ProjectionShape, { capabilities, maxDispatchFlops }: Device): Pass[] {
  const { batches, tokens, heads, gates, sharedHeads } = shape;
  const { rows } = tileOf(shape, capabilities);
  const chunk = Math.min(MAX_CHUNK, Math.max(rows, powerOfTwo(tokens)));
  const found = orderSources(shape, rows);
  const work = chunk * (4 * Math.log2(chunk) ** 2 + 4 * heads);
  return runPasses(
    {
      name: "moh/order",
      kernel: order,
      variant: "base",
      constants: { CHUNK: chunk, TILE: rows, THREADS: capabilities.software ? 16 : 256 },
      bindings: {
        gates: { tensor: "gates" },
        order: found.order,
        tile_heads: found.tileHeads,
      } satisfies Bindings<"order">,
    },
    ({ first, count }) => ({
      params: {
        ...layoutUniforms({ gates }, capabilities),
        ...{ batches, tokens, heads, shared_heads: sharedHeads, first_group: first, groups: count },
      },
    }),
    capabilities,
    cutWorkgroups([{ work, flops: 0 }], batches * Math.ceil(tokens / chunk), maxDispatchFlops),
    bytesOf(gates) + found.order.bytes + found.tileHeads.bytes,
  );
}

function tiled(
  shape: ProjectionShape,
  form: Exclude<ProjectionForm, "rows">,
  firstHead: number,
  headCount: number,
  device: Device,
): Pass[] {
  const { batches, tokens, valueDim, outer, heads, sharedHeads, topK, anyActive } = shape;
  const { columnThreads, rowThreads, rows, quads } = tileOf(shape, device.capabilities);
  const tileRows = rows * rowThreads;
  // Each token has topK of the routed heads.
  const active = {
    dense: headCount,
    ordered: sharedHeads + topK,
    listed: topK / (heads - sharedHeads),
  }[form];
  const { order: orderSource, tileHeads } = orderSources(shape, rows);
  const none = { unused: true } as const;
  const draft = {
    name: form === "dense" ? "moh/project" : `moh/project, ${form}`,
    kernel: project,
    conditions: quads ? ["subgroups"] : [],
    constants: {
      ...{ LISTED: form === "listed", ORDERED: form === "ordered" },
      GATED: form === "ordered" || anyActive,
      ...{ COLUMN_THREADS: columnThreads, ROW_THREADS: rowThreads },
    },
    sources: {
      dense: { rows: none, tile_heads: none },
      ordered: { rows: orderSource, tile_heads: tileHeads },
      listed: { rows: { tensor: "lists" }, tile_heads: none },
    }[form],
    ...{ firstHead, headCount, adds: form === "listed" },
    groups: batches * Math.ceil(tokens / tileRows) * Math.ceil(outer / (columnThreads * COLUMNS)),
    work: 2 * tileRows * columnThreads * COLUMNS * valueDim * Math.max(headCount, 1),
    flops: 2 * batches * tokens * active * valueDim * outer,
    share: active / heads,
  };
  return projectPasses(draft, shape, device);
}

function fewTokens(shape: ProjectionShape, device: Device): Pass[] {
  const { batches, tokens, valueDim, outer, heads, sharedHeads, topK } = shape;
  const draft = {
    name: "moh/project_rows",
    kernel: projectRows,
    conditions: [],
    constants: { COLUMNS: ROW_COLUMNS, LANES: ROW_LANES },
    ...{ firstHead: 0, headCount: heads, adds: false },
    groups: batches * tokens * Math.ceil(outer / (4 * ROW_COLUMNS)),
    work: 2 * heads * valueDim * Math.min(outer, 4 * ROW_COLUMNS),
    flops: 2 * batches * tokens * (sharedHeads + topK) * valueDim * outer,
    share: (sharedHeads + topK) / heads,
  };
  return projectPasses(draft, shape, device);
}

/** Rows of whole vec4: what the passes add up in where the output is f16. */
function sumsLayout({ batches, tokens, outer }: ProjectionShape): TensorLayout {
  const width = 4 * Math.ceil(outer / 4);
  return { dtype: "f32", shape: [batches, tokens, 1, outer], strides: [tokens * width, width, width, 1] };
}

function storePasses({ out, batches, tokens, outer }: ProjectionShape, device: Device): Pass[] {
  const { capabilities, maxDispatchFlops, target } = device;
  const vectors = batches * tokens * Math.ceil(outer / 4);
  const groups = Math.ceil(vectors / STORE_THREADS);
  return runPasses(
    {
      name: "moh/store",
      kernel: store,
      variant: variantKey(store, ["half_out", ...(isVec4(out, capabilities) ? ["vec4"] : [])]),
      constants: {},
      bindings: { sums: target, out: { tensor: "out" } } satisfies Bindings<"store">,
    },
    ({ first, count }) => ({
      params: {
        ...layoutUniforms({ out }, capabilities),
        ...{ batches, tokens, outer, first_group: first, groups: count },
      },
    }),
    capabilities,
    cutWorkgroups([{ work: 4 * STORE_THREADS, flops: 0 }], groups, maxDispatchFlops),
    16 * vectors + bytesOf(out),
  );
}
