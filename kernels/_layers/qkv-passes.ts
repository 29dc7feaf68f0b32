import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import { mostLoopRounds } from "../../src/dispatch/loop-rounds.js";
import {
  type BindingSource,
  type KernelBindings,
  type Pass,
  spreadWorkgroups,
} from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import { bytesPerElement } from "../../src/dispatch/tensor-view.js";
import type { BINDINGS } from "./bindings.js";
import appendKernel from "./cache_append.wgsl";
import { CACHE_DTYPES } from "./cache-dtypes.js";
import { fitsBindings } from "./fits-bindings.js";
import {
  productConstants,
  productUniforms,
  projectedPasses,
  VECTOR_ROWS,
  variantConditions,
  vectorConstants,
  vectorUnroll,
} from "./matmul-passes.js";
import { vectorPlaces } from "./pack-vectors.js";
import { prologueBindings, viewUniforms } from "./prologue.js";
import type { QkvShape } from "./qkv.js";
import rowsKernel from "./qkv_rows.wgsl";
import { rowThreads } from "./row-threads.js";
import type { WeightPiece } from "./stacked-weights.js";
import { type VectorSizes, vectorSizes } from "./vector-sizes.js";
import { paddedColumns, WEIGHT_DTYPES, weightBytes } from "./weight-matrix.js";

type Append = KernelBindings<typeof BINDINGS, "cache_append">;

/** The passes of checked projections. Pure. */
export function qkvPasses(
  shape: QkvShape,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  const { product } = shape;
  const rows = product.prologue.batches * product.prologue.tokens;
  const inOnePass =
    rows <= VECTOR_ROWS &&
    wholeWords(shape) &&
    fitsLoops(shape, rows, capabilities) &&
    product.pieces.every((piece) => fitsBindings(rowBindings(shape, piece, vectors), capabilities));
  if (inOnePass)
    return product.pieces.flatMap((piece) => rowPasses(shape, piece, rows, vectors, capabilities, budget));
  const { passes, projected } = projectedPasses(product, vectors, capabilities, budget);
  return [...passes, appendPass(shape, rows, projected, vectors, capabilities)];
}

/** Norms and scales concern whole heads. */
function ownsHeads({ product: { vectors }, k }: QkvShape): boolean {
  return vectors.queryNorm !== undefined || vectors.keyNorm !== undefined || k.dtype === "q8";
}

/** Whether no head that has to be whole, and no word of the cache, lies in two parts of the weights. */
function wholeWords(shape: QkvShape): boolean {
  const unit = ownsHeads(shape) ? shape.headDim : 2 ** CACHE_DTYPES.indexOf(shape.k.dtype);
  return shape.product.pieces.every(
    ({ firstOutput, outputs }) => firstOutput % unit === 0 && outputs % unit === 0,
  );
}

/** Whether no driver ends the loops of a workgroup that owns whole heads before they are through: through scratch they are shorter. */
function fitsLoops(shape: QkvShape, rows: number, capabilities: Capabilities): boolean {
  const { columns, prologue, pieces } = shape.product;
  const rounds = pieces.map((piece) => {
    const { threads, lanes, outputs } = rowSizes(shape, piece, rows, capabilities);
    const chunks = paddedColumns({ columns }) / 4 / 2 ** WEIGHT_DTYPES.indexOf(piece.dtype) / lanes;
    const lap = (threads / lanes) * outputs;
    const owned = ownsHeads(shape) ? shape.headDim : lap;
    const products = Math.ceil(owned / lap) * (Math.ceil(chunks) + 1);
    const statistics = 2 * (Math.ceil(prologue.inner / 4 / threads) + 8 + threads / 8);
    // A head's root mean square, its largest size, and its way out.
    const stored = 3 * owned;
    return products + rows * (statistics + stored);
  });
  return Math.max(...rounds) <= mostLoopRounds(capabilities);
}

function rowPasses(
  shape: QkvShape,
  piece: WeightPiece,
  rows: number,
  vectors: BindingSource,
  capabilities: Capabilities,
  budget: number,
): Pass[] {
  const { product, headDim } = shape;
  const { prologue } = product;
  const sizes = rowSizes(shape, piece, rows, capabilities);
  const owned = ownsHeads(shape) ? headDim : (sizes.threads / sizes.lanes) * sizes.outputs;
  const groups = Math.ceil(piece.outputs / owned);
  const products = 2 * prologue.inner * rows;
  const params = productUniforms(product, piece, capabilities);
  const constants = {
    ...productConstants(product, piece),
    ...vectorConstants(sizes, rows),
    ...headConstants(shape),
    OWNED: owned,
    HELD_ROWS: rows,
  };
  const matrix = { dtype: piece.dtype, rows: product.outputs, columns: product.columns };
  const bytes =
    weightBytes(matrix, piece.outputs) +
    bytesOf(prologue.x, prologue.scale, prologue.shift) +
    4 * vectorPlaces(product.vectors).size +
    (storedBytes(shape, rows) * piece.outputs) / product.outputs;
  return runPasses(
    {
      name: "layers/qkv_rows",
      kernel: rowsKernel,
      variant: variantKey(rowsKernel, variantConditions(product, capabilities)),
      constants: knownConstants(rowsKernel, constants),
      unroll: vectorUnroll(sizes, piece, rows, capabilities),
      bindings: rowBindings(shape, piece, vectors),
    },
    ({ first, count }) => ({
      params: { ...params, first_group: first, groups: count },
      heads: headUniforms(shape, capabilities),
    }),
    capabilities,
    cutWorkgroups([{ work: products * owned, flops: (products * piece.outputs) / groups }], groups, budget),
    bytes,
  );
}

function rowBindings(shape: QkvShape, piece: WeightPiece, vectors: BindingSource) {
  return {
    ...prologueBindings(shape.product.prologue),
    weight: { buffer: piece.buffer },
    weight_up: { unused: true as const },
    ...storeBindings(shape, vectors),
  };
}

/** A workgroup with a head to itself has more threads, where workgroup memory has room for their sums: there are few of them. */
function rowSizes(
  shape: QkvShape,
  piece: WeightPiece,
  rows: number,
  capabilities: Capabilities,
): VectorSizes {
  const sizes = vectorSizes(shape.product.columns, piece.dtype, rows, capabilities);
  if (!ownsHeads(shape) || capabilities.software) return sizes;
  return { ...sizes, threads: rows > 2 ? 64 : 256 };
}

function appendPass(
  shape: QkvShape,
  rows: number,
  projected: { readonly scratch: number; readonly bytes: number },
  vectors: BindingSource,
  capabilities: Capabilities,
): Pass {
  const { product, headDim } = shape;
  const constants = {
    ...headConstants(shape),
    OWNED: headDim,
    HELD_ROWS: 1,
    THREADS: rowThreads(capabilities),
  };
  const groups = (rows * product.outputs) / headDim;
  return {
    name: "layers/cache_append",
    kernel: appendKernel,
    variant: "base",
    constants,
    workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: { projected, ...storeBindings(shape, vectors) } satisfies Omit<Append, "heads">,
    uniforms: {
      params: { ...productUniforms(product, product.pieces[0]!, capabilities), first_group: 0, groups },
      heads: headUniforms(shape, capabilities),
    },
    cost: { flops: 4 * rows * product.outputs, bytes: projected.bytes + storedBytes(shape, rows) },
  };
}

function storedBytes({ heads, kvHeads, headDim, k }: QkvShape, rows: number): number {
  const cached = 2 * kvHeads * (headDim * bytesPerElement(k.dtype) + (k.dtype === "q8" ? 4 : 0));
  return rows * (4 * heads * headDim + cached);
}

function headConstants({ product: { vectors }, k, lengths }: QkvShape) {
  return {
    CACHE: CACHE_DTYPES.indexOf(k.dtype),
    HAS_QUERY_NORM: vectors.queryNorm !== undefined,
    HAS_KEY_NORM: vectors.keyNorm !== undefined,
    HAS_LENGTHS: lengths !== undefined,
  };
}

function storeBindings({ product, lengths }: QkvShape, vectors: BindingSource) {
  return {
    vectors: Object.values(product.vectors).some(Boolean) ? vectors : { unused: true as const },
    q: { tensor: "q" },
    k: { tensor: "k" },
    v: { tensor: "v" },
    lengths: lengths ? { buffer: lengths } : { unused: true as const },
  };
}

function headUniforms(shape: QkvShape, capabilities: Capabilities) {
  const { q, k, v, heads, kvHeads, headDim, capacity, headEpsilon } = shape;
  const { bases } = vectorPlaces(shape.product.vectors);
  return {
    ...viewUniforms({ q, k, v }, capabilities),
    base_query_norm: bases.queryNorm!,
    base_key_norm: bases.keyNorm!,
    heads,
    kv_heads: kvHeads,
    head_dim: headDim,
    capacity,
    epsilon: headEpsilon,
  };
}
