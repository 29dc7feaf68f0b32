import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import {
  type BindingSource,
  type KernelBindings,
  type Pass,
  spreadWorkgroups,
} from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import { ACTIVATIONS } from "./activations.js";
import type { BINDINGS } from "./bindings.js";
import { fitsBindings } from "./fits-bindings.js";
import { gatePass } from "./gate.js";
import type { MatmulShape } from "./matmul.js";
import registersKernel from "./matrix_registers.wgsl";
import tilesKernel from "./matrix_tiles.wgsl";
import { vectorPlaces } from "./pack-vectors.js";
import {
  prologueBindings,
  prologueConstants,
  prologueUniforms,
  readsFours,
  viewUniforms,
} from "./prologue.js";
import statisticsKernel from "./row_statistics.wgsl";
import { rowThreads } from "./row-threads.js";
import type { WeightPiece } from "./stacked-weights.js";
import vectorKernel from "./vector_matrix.wgsl";
import { type VectorSizes, vectorSizes } from "./vector-sizes.js";
import { paddedColumns, WEIGHT_DTYPES, weightBytes } from "./weight-matrix.js";

/** Rows of x up to which weights are read once for all of them. */
export const VECTOR_ROWS = 8;

/** Scratch of the context's for the statistics of rows, and for outputs that another pass takes further. */
const STATISTICS = 0;
const PROJECTED = 1;

type ProductBindings = KernelBindings<typeof BINDINGS, "vector_matrix"> &
  Partial<KernelBindings<typeof BINDINGS, "matrix_tiles">>;

/**
 * The passes of a checked product, one for each part of the weights, in dispatches of at most `budget` operations. Where all that they
 * read is more than a device binds, scale and residual have a pass of their own behind them. Pure.
 *
 * @param vectors the buffer of the packed vectors
 */
export function matmulPasses(
  shape: MatmulShape,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  if (shape.pieces.every((piece) => fitsBindings(productBindings(shape, piece, vectors), capabilities)))
    return productPasses(shape, vectors, capabilities, budget);
  const { outScale, residual, ...bare } = shape;
  const dense: TensorLayout = { dtype: "f32", shape: shape.out.shape };
  const { projected, passes } = projectedPasses({ ...bare, out: dense }, vectors, capabilities, budget);
  const gate = gatePass(
    {
      ...{ x: dense, activation: "none", out: shape.out },
      ...(outScale && { gate: outScale }),
      ...(residual && { residual }),
    },
    capabilities,
  );
  const bindings = { ...gate.bindings, x: projected, ...(outScale && { gate: { tensor: "outScale" } }) };
  return [...passes, { ...gate, bindings }];
}

/** The passes of a product without scale and residual whose dense outputs [B, T, 1, out] go to scratch, `projected`. */
export function projectedPasses(
  shape: MatmulShape,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): { readonly passes: Pass[]; readonly projected: { readonly scratch: number; readonly bytes: number } } {
  const projected = { scratch: PROJECTED, bytes: bytesOf(shape.out) };
  const passes = productPasses(shape, vectors, capabilities, budget).map((pass) =>
    "out" in pass.bindings ? { ...pass, bindings: { ...pass.bindings, out: projected } } : pass,
  );
  return { passes, projected };
}

function productPasses(
  shape: MatmulShape,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  const rows = shape.prologue.batches * shape.prologue.tokens;
  if (rows <= VECTOR_ROWS)
    return shape.pieces.flatMap((piece) => vectorPasses(shape, piece, rows, vectors, capabilities, budget));
  const statistics = shape.prologue.norm ? [statisticsPass(shape, capabilities)] : [];
  const tiled = shape.pieces.flatMap((piece) =>
    matrixPasses(shape, piece, rows, vectors, capabilities, budget),
  );
  return [...statistics, ...tiled];
}

function vectorPasses(
  shape: MatmulShape,
  piece: WeightPiece,
  rows: number,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  const sizes = vectorSizes(shape.columns, piece.dtype, rows, capabilities);
  const stored = shape.gated ? sizes.outputs / 2 : sizes.outputs;
  return cutPasses(
    shape,
    piece,
    {
      name: "layers/vector_matrix",
      kernel: vectorKernel,
      variant: variantKey(vectorKernel, variantConditions(shape, capabilities)),
      constants: { ...productConstants(shape, piece), ...vectorConstants(sizes, rows) },
      unroll: vectorUnroll(sizes, piece, rows, capabilities),
      bindings: productBindings(shape, piece, vectors),
    },
    { outputs: (sizes.threads / sizes.lanes) * stored, rows },
    capabilities,
    budget,
  );
}

export function vectorConstants({ threads, lanes, outputs }: VectorSizes, rows: number) {
  return { THREADS: threads, LANES: lanes, OUTPUTS: outputs, TOKENS: rows };
}

/** Drivers on a CPU keep indexed arrays in memory unless every index is a constant. */
export function vectorUnroll(
  { outputs }: VectorSizes,
  { dtype }: Pick<WeightPiece, "dtype">,
  rows: number,
  { software }: Capabilities,
): Record<string, number> {
  return software ? { OUTPUTS: outputs, TOKENS: rows, CHUNK: 2 ** WEIGHT_DTYPES.indexOf(dtype) } : {};
}

function matrixPasses(
  shape: MatmulShape,
  piece: WeightPiece,
  rows: number,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  const { software, subgroups } = capabilities;
  const bindings = productBindings(shape, piece, vectors);
  const constants = productConstants(shape, piece);
  const half = shape.gated ? 2 : 1;
  const conditions = variantConditions(shape, capabilities);
  if (software) {
    const threads = subgroups ? { out: 32, row: 1, rows: 16 } : { out: 16, row: 4, rows: 8 };
    return cutPasses(
      shape,
      piece,
      {
        name: "layers/matrix_registers",
        kernel: registersKernel,
        variant: variantKey(registersKernel, [...conditions, ...(subgroups ? ["subgroups"] : [])]),
        constants: { ...constants, OUT_THREADS: threads.out, ROW_THREADS: threads.row },
        bindings,
      },
      { outputs: (8 * threads.out) / half, rows: threads.row * threads.rows },
      capabilities,
      budget,
    );
  }
  // Few rows take the smaller tile, half of which would be idle otherwise.
  const quads = rows > 32 ? 2 : 1;
  return cutPasses(
    shape,
    piece,
    {
      name: "layers/matrix_tiles",
      kernel: tilesKernel,
      variant: variantKey(tilesKernel, conditions),
      constants: { ...constants, ROW_QUADS: quads },
      bindings,
    },
    { outputs: 64 / half, rows: 32 * quads },
    capabilities,
    budget,
  );
}

function statisticsPass(shape: MatmulShape, capabilities: Capabilities): Pass {
  const { prologue } = shape;
  const rows = prologue.batches * prologue.tokens;
  const constants = { ...prologueConstants(prologue), THREADS: rowThreads(capabilities) };
  return {
    name: "layers/row_statistics",
    kernel: statisticsKernel,
    variant: variantKey(statisticsKernel, variantConditions(shape, capabilities)),
    constants: knownConstants(statisticsKernel, constants),
    workgroups: spreadWorkgroups(rows, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: { x: { tensor: "x" }, moments: { scratch: STATISTICS, bytes: 8 * rows } },
    uniforms: {
      params: { ...productUniforms(shape, shape.pieces[0]!, capabilities), first_group: 0, groups: rows },
    },
    cost: { flops: 4 * rows * prologue.inner, bytes: bytesOf(prologue.x) + 8 * rows },
  };
}

export function variantConditions({ prologue }: MatmulShape, capabilities: Capabilities): string[] {
  return readsFours(prologue, capabilities) ? ["vec4"] : [];
}

export function productConstants(shape: MatmulShape, piece: WeightPiece): Record<string, number | boolean> {
  return {
    ...prologueConstants(shape.prologue),
    WEIGHT: WEIGHT_DTYPES.indexOf(piece.dtype),
    GATED: shape.gated,
    HAS_BIAS: shape.vectors.bias !== undefined,
    HAS_OUT_SCALE: shape.outScale !== undefined,
    HAS_RESIDUAL: shape.residual !== undefined,
    ACTIVATION: ACTIVATIONS.indexOf(shape.activation),
  };
}

function productBindings(shape: MatmulShape, piece: WeightPiece, vectors: BindingSource): ProductBindings {
  const { prologue, outScale, residual } = shape;
  const rows = prologue.batches * prologue.tokens;
  return {
    ...prologueBindings(prologue),
    weight: { buffer: piece.buffer },
    weight_up: piece.up ? { buffer: piece.up.buffer } : { unused: true },
    vectors: Object.values(shape.vectors).some(Boolean) ? vectors : { unused: true },
    out_scale: outScale ? { tensor: "outScale" } : { unused: true },
    residual: residual ? { tensor: "residual" } : { unused: true },
    out: { tensor: "out" },
    // Few rows find their own.
    ...(rows > VECTOR_ROWS && {
      statistics: prologue.norm ? { scratch: STATISTICS, bytes: 8 * rows } : { unused: true },
    }),
  };
}

export function productUniforms(shape: MatmulShape, piece: WeightPiece, capabilities: Capabilities) {
  const { bases } = vectorPlaces(shape.vectors);
  const { outScale, residual, out } = shape;
  return {
    ...prologueUniforms(shape.prologue, bases, capabilities),
    ...viewUniforms({ out_scale: outScale, residual, out }, capabilities),
    base_bias: bases.bias ?? 0,
    base_up_bias: (bases.bias ?? 0) + shape.outputs,
    columns: paddedColumns(shape),
    outputs: piece.outputs,
    first_output: piece.firstOutput,
    activated: shape.activated,
    part_rows: piece.partRows,
    part_row: piece.row,
    up_part_rows: piece.up?.partRows ?? 0,
    up_part_row: piece.up?.row ?? 0,
  };
}

function cutPasses(
  shape: MatmulShape,
  piece: WeightPiece,
  pass: Omit<Pass, "workgroups" | "uniforms" | "cost" | "work">,
  tile: { readonly outputs: number; readonly rows: number },
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  const { prologue, outScale, residual, out, outputs } = shape;
  const rows = prologue.batches * prologue.tokens;
  const groups = Math.ceil(rows / tile.rows) * Math.ceil(piece.outputs / tile.outputs);
  const products = 2 * prologue.inner * (shape.gated ? 2 : 1);
  const flops = products * rows * piece.outputs;
  const params = productUniforms(shape, piece, capabilities);
  const matrix = { dtype: piece.dtype, rows: shape.outputs, columns: shape.columns };
  const share = piece.outputs / outputs;
  const bytes =
    weightBytes(matrix, piece.outputs) * (shape.gated ? 2 : 1) +
    bytesOf(prologue.x, prologue.scale, prologue.shift) +
    bytesOf(outScale, residual, out) * share +
    4 * vectorPlaces(shape.vectors).size;
  return runPasses(
    pass,
    ({ first, count }) => ({ params: { ...params, first_group: first, groups: count } }),
    capabilities,
    cutWorkgroups([{ work: products * tile.rows * tile.outputs, flops: flops / groups }], groups, budget),
    bytes,
  );
}
