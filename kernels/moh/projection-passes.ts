import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import type { KernelModule } from "../../src/dispatch/kernel-module.js";
import { bytesOf, isVec4, layoutUniforms } from "../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import type { BINDINGS } from "./bindings.js";
import { allActive } from "./head-choice.js";
import { transposed } from "./matrices.js";
import project from "./project.wgsl";
import projectRows from "./project_rows.wgsl";
import type { ProjectionShape } from "./projection-problem.js";
import store from "./store.wgsl";

type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

/** Up to here a workgroup takes a token with all of its heads: tiles of rows would stand nearly empty. */
const FEW_TOKENS = 16;
/** As of the linear layer: four groups of rows where they may leave early, else one, whose quads share rows. */
const TILE = { columnThreads: 16, rowThreads: 4, rows: 8 };
const QUAD_TILE = { columnThreads: 32, rowThreads: 1, rows: 16 };
/** Columns of a thread. */
const COLUMNS = 8;
/** vec4 columns of a workgroup of `project_rows.wgsl`, and threads that share out the channels of each. */
const ROW_COLUMNS = 16;
const ROW_LANES = 4;
const STORE_THREADS = 64;
/** Slot of the context's scratch for sums whose output is f16. */
const SUMS = 0;

interface Device {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
  /** Where sums of f32 go: the output, or scratch that becomes it. */
  readonly target: BindingSource;
}

/** The heads of a pass, and whether its rows come from the first one's list. */
interface HeadRange {
  readonly first: number;
  readonly count: number;
  readonly listed: boolean;
}

/** Whether the passes read lists of active tokens. */
export function readsLists(shape: ProjectionShape): boolean {
  return shape.batches * shape.tokens > FEW_TOKENS && !allActive(shape.heads, shape) && shape.topK > 0;
}

/**
 * Passes of a checked projection: all tokens times the heads that are active for all, then for each other head those tokens that it
 * is active for. Pure: the same problem gives the same passes.
 */
export function projectionPasses(
  given: ProjectionShape,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): Pass[] {
  const { batches, tokens, heads, sharedHeads, topK } = given;
  const half = given.out.dtype === "f16";
  const sums = sumsLayout(given);
  const shape = half ? { ...given, out: sums } : given;
  const target = half ? { scratch: SUMS, bytes: 4 * batches * stridesOf(sums)[0] } : { tensor: "out" };
  const device = { capabilities, maxDispatchFlops, target };
  const stored = half ? storePasses(given, device) : [];
  if (batches * tokens <= FEW_TOKENS) return [...fewTokens(shape, device), ...stored];
  if (allActive(heads, given))
    return [...tiled(shape, { first: 0, count: heads, listed: false }, device), ...stored];
  const routed = topK > 0 ? heads - sharedHeads : 0;
  return [
    ...tiled(shape, { first: 0, count: sharedHeads, listed: false }, device),
    ...Array.from({ length: routed }, (_, head) =>
      tiled(shape, { first: sharedHeads + head, count: 1, listed: true }, device),
    ).flat(),
    ...stored,
  ];
}

function tiled(shape: ProjectionShape, range: HeadRange, device: Device): Pass[] {
  const { batches, tokens, valueDim, outer, heads, sharedHeads, topK } = shape;
  const { capabilities } = device;
  // Without vec4 a thread's loads are so many instructions that the larger tile takes seconds to compile.
  const quads = capabilities.subgroups && capabilities.software && isWhole(shape, capabilities);
  const { columnThreads, rowThreads, rows } = quads ? QUAD_TILE : TILE;
  const tileRows = rows * rowThreads;
  const rowTiles = Math.ceil(tokens / tileRows);
  const columnTiles = Math.ceil(outer / (columnThreads * COLUMNS));
  // Each token has topK of the routed heads.
  const share = range.listed ? topK / (heads - sharedHeads) : 1;
  const work = 2 * tileRows * columnThreads * COLUMNS * valueDim * Math.max(range.count, 1);
  const flops =
    (2 * batches * tokens * share * range.count * valueDim * outer) / (batches * rowTiles * columnTiles);
  return projectPasses(
    {
      name: range.listed ? "moh/project, listed" : "moh/project",
      kernel: project,
      conditions: quads ? ["subgroups"] : [],
      constants: { LISTED: range.listed, COLUMN_THREADS: columnThreads, ROW_THREADS: rowThreads },
      lists: range.listed ? { tensor: "lists" } : { unused: "read" },
      range,
      groups: batches * rowTiles * columnTiles,
      work,
      flops,
    },
    shape,
    device,
  );
}

function fewTokens(shape: ProjectionShape, device: Device): Pass[] {
  const { batches, tokens, valueDim, outer, heads, sharedHeads, topK } = shape;
  const work = 2 * heads * valueDim * Math.min(outer, 4 * ROW_COLUMNS);
  return projectPasses(
    {
      name: "moh/project_rows",
      kernel: projectRows,
      conditions: [],
      constants: { COLUMNS: ROW_COLUMNS, LANES: ROW_LANES },
      range: { first: 0, count: heads, listed: false },
      groups: batches * tokens * Math.ceil(outer / (4 * ROW_COLUMNS)),
      work,
      flops: (work * (sharedHeads + topK)) / heads,
    },
    shape,
    device,
  );
}

interface ProjectDraft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly conditions: readonly string[];
  readonly constants: Readonly<Record<string, number | boolean>>;
  readonly lists?: BindingSource;
  readonly range: HeadRange;
  readonly groups: number;
  /** Operations of a workgroup: at most, and on average. */
  readonly work: number;
  readonly flops: number;
}

function projectPasses(
  draft: ProjectDraft,
  shape: ProjectionShape,
  { capabilities, maxDispatchFlops, target }: Device,
): Pass[] {
  const { attended, gates, weight, bias, out, batches, tokens, heads, valueDim, outer } = shape;
  const { name, kernel, conditions, lists, range, groups, work, flops } = draft;
  const [, , strideInner, strideOuter] = stridesOf(weight);
  const innerFirst = isInnerFirst(weight);
  const vec4 = isWhole(shape, capabilities);
  const base = (layout?: TensorLayout) => (layout ? bindingRange(layout, capabilities).base : 0);
  const uniforms = {
    ...layoutUniforms({ heads: attended, gates, out }, capabilities),
    base_weight: base(weight),
    base_bias: base(bias),
    stride_weight_inner: strideInner,
    stride_weight_outer: strideOuter,
    stride_bias: bias ? stridesOf(bias)[3] : 0,
    ...{ batches, tokens, heads, outer, first_head: range.first, head_count: range.count },
  };
  const bindings = {
    gates: { tensor: "gates" },
    heads: { tensor: "attended" },
    weight: { tensor: "weight" },
    bias: bias && !range.listed ? { tensor: "bias" } : { unused: "read" },
    out: target,
  } satisfies Bindings<"project_rows">;
  const share = range.count / heads;
  return runPasses(
    {
      name,
      kernel,
      variant: variantKey(kernel, [
        ...conditions,
        ...(vec4 ? ["vec4"] : []),
        ...(attended.dtype === "f16" ? ["half"] : []),
      ]),
      constants: {
        ...knownConstants(kernel, {
          ...draft.constants,
          VALUE_DIM: valueDim,
          HAS_BIAS: bias !== undefined && !range.listed,
        }),
        ...(vec4 && { INNER_FIRST: innerFirst }),
      },
      bindings: lists ? ({ ...bindings, lists } satisfies Bindings<"project">) : bindings,
    },
    ({ first, count }) => ({ params: { ...uniforms, first_group: first, groups: count } }),
    capabilities,
    cutWorkgroups([{ work, flops }], groups, maxDispatchFlops),
    share * bytesOf(attended, gates, weight) + bytesOf(out) * (range.listed ? 2 : 1),
  );
}

/** Whether a matrix is stored [out, in] row-major. */
function isInnerFirst(weight: TensorLayout): boolean {
  const [, , strideInner, strideOuter] = stridesOf(weight);
  return strideInner === 1 && strideOuter !== 1;
}

/** Whether all rows are whole vec4. */
function isWhole(
  { attended, out, weight, bias, outer }: ProjectionShape,
  capabilities: Capabilities,
): boolean {
  const matrix = isInnerFirst(weight) ? transposed(weight) : weight;
  const rows = [attended, out, matrix, ...(bias ? [bias] : [])];
  return outer % 4 === 0 && rows.every((layout) => isVec4(layout, capabilities));
}

/** Rows of whole vec4: what the passes add up in where the output is f16. */
function sumsLayout({ batches, tokens, outer }: ProjectionShape): TensorLayout {
  const width = 4 * Math.ceil(outer / 4);
  return { dtype: "f32", shape: [batches, tokens, 1, outer], strides: [tokens * width, width, width, 1] };
}

function storePasses({ out, batches, tokens, outer }: ProjectionShape, device: Device): Pass[] {
  const { capabilities, maxDispatchFlops, target } = device;
  const vectors = batches * tokens * Math.ceil(outer / 4);
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
    cutWorkgroups(
      [{ work: 4 * STORE_THREADS, flops: 0 }],
      Math.ceil(vectors / STORE_THREADS),
      maxDispatchFlops,
    ),
    16 * vectors + bytesOf(out),
  );
}
