import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import {
  elementCount,
  type Shape4,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import kernel from "./embedding.wgsl";
import { compileLayerPasses, type LayerPlan, layerPlanWith } from "./layer-plan.js";
import { checkNumber, checkShape } from "./layouts.js";
import { checkLengths } from "./lengths.js";
import { u32View } from "./u32-view.js";
import {
  checkWeightMatrix,
  paddedColumns,
  WEIGHT_DTYPES,
  type WeightMatrix,
  type WeightPart,
  weightBytes,
} from "./weight-matrix.js";

export interface EmbeddingProblem {
  readonly batches: number;
  readonly tokens: number;
  /** [vocabulary, dim], a row for each id. Its buffers are the plan's to bind at every `record`. */
  readonly table: WeightMatrix;
  /** [1, P, 1, dim] f32, a row for each position: learned, or from `sinusoidalPositions`. Default none. */
  readonly positions?: TensorLayout;
  /** [1, kinds, 1, dim] f32, a row for each type of token (BERT's segments). Default none. */
  readonly types?: TensorLayout;
  /**
   * u32 [B], as `planQkv` takes it: token t of a batch entry stands at position length - T + t, at least 0. Default: at position t.
   * Positions past the last row of `positions` have that row.
   */
  readonly lengths?: GPUBuffer;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
  /** Factor of the table's rows. Default 1. */
  readonly scale?: number;
}

export interface EmbeddingTensors {
  /** u32 [B, T], dense, with STORAGE usage. Ids past the table's end read its last row. */
  readonly ids: GPUBuffer;
  /** Given when it was planned. */
  readonly positions?: TensorView;
  /** Given when it was planned. */
  readonly types?: TensorView;
  /** u32 [B, T], dense; given when types were planned. */
  readonly typeIds?: GPUBuffer;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type EmbeddingShape = EmbeddingProblem & Required<Pick<EmbeddingProblem, "out" | "scale">>;

const THREADS = 64;

/**
 * Plans out[b, t] = scale table[ids[b, t]] + positions[p] + types[typeIds[b, t]], one pass for each part of the table.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planEmbedding(
  ctx: AttentionContext,
  problem: EmbeddingProblem,
): Promise<LayerPlan<EmbeddingTensors>> {
  const shape = checkEmbedding(problem, ctx.capabilities);
  const { batches, tokens, positions, types, table, out } = shape;
  const idShape: Shape4 = [batches, tokens, 1, 1];
  const idSpec = { layout: { dtype: "f32" as const, shape: idShape } };
  const passes = table.parts.map((part) => embeddingPass(shape, part, ctx.capabilities));
  const plan = await compileLayerPasses(ctx, passes, {
    ids: idSpec,
    ...(positions && { positions: { layout: positions } }),
    ...(types && { types: { layout: types }, typeIds: idSpec }),
    out: { layout: out, output: true },
  });
  return layerPlanWith(plan, ({ ids, typeIds, ...views }: EmbeddingTensors) => ({
    ...views,
    ids: u32View(ids, idShape),
    ...(typeIds && { typeIds: u32View(typeIds, idShape) }),
  }));
}

/**
 * Position signals [tokens, 2 n] of n frequencies f in radians a token: sin(p f) for all of them, then cos(p f), row-major.
 * Computed here in float64: sines of large arguments are only roughly right on many GPUs.
 */
export function sinusoidalPositions(
  frequencies: ArrayLike<number>,
  tokens: number,
): Float32Array<ArrayBuffer> {
  const count = frequencies.length;
  const signal = new Float32Array(tokens * 2 * count);
  for (let p = 0; p < tokens; p++) {
    for (let i = 0; i < count; i++) {
      signal[2 * count * p + i] = Math.sin(p * frequencies[i]!);
      signal[2 * count * p + count + i] = Math.cos(p * frequencies[i]!);
    }
  }
  return signal;
}

const OPTIONS = [
  "batches",
  "tokens",
  "table",
  "positions",
  "types",
  "lengths",
  "out",
  "scale",
] as const satisfies readonly (keyof EmbeddingProblem)[];

function checkEmbedding(problem: EmbeddingProblem, capabilities: Capabilities): EmbeddingShape {
  checkOptions("embedding", problem, OPTIONS);
  const { batches, tokens, table, positions, types, lengths, scale = 1 } = problem;
  checkLayout("ids", { dtype: "f32", shape: [batches, tokens, 1, 1] }, ["f32"]);
  checkWeightMatrix("table", table, capabilities.limits);
  const dim = table.columns;
  if (positions) checkTable("positions", positions, dim);
  if (types) checkTable("types", types, dim);
  if (lengths) checkLengths(lengths, batches);
  else if (positions && positions.shape[1] < tokens)
    fail(
      "shape",
      "positions.shape[1] (tokens)",
      `at least ${tokens} rows, one for each token`,
      positions.shape[1],
      "Give more positions, or fewer tokens.",
    );
  const out = problem.out ?? { dtype: "f32", shape: [batches, tokens, 1, dim] };
  checkShape("out", out, [batches, tokens, 1, dim]);
  checkBindable({ positions, types, out }, capabilities);
  checkNumber("scale", scale, -Infinity);
  return { ...problem, out, scale };
}

function checkTable(name: string, layout: TensorLayout, dim: number): void {
  checkLayout(name, layout, ["f32"]);
  checkShape(name, layout, [1, layout.shape[1], 1, dim]);
}

function embeddingPass(shape: EmbeddingShape, part: WeightPart, capabilities: Capabilities): Pass {
  const { batches, tokens, table, positions, types, lengths, out, scale } = shape;
  const base = (layout?: TensorLayout) => (layout ? bindingRange(layout, capabilities).base : 0);
  const strides = (layout?: TensorLayout): Shape4 => (layout ? stridesOf(layout) : [0, 0, 0, 0]);
  const dim = table.columns;
  const rowBytes = weightBytes(table, table.rows) / table.rows;
  const share = part.rows / table.rows;
  return {
    name: "layers/embedding",
    kernel,
    variant: "base",
    constants: {
      WEIGHT: WEIGHT_DTYPES.indexOf(table.dtype),
      HAS_POSITIONS: positions !== undefined,
      HAS_TYPES: types !== undefined,
      HAS_LENGTHS: lengths !== undefined,
    },
    workgroups: spreadWorkgroups(
      Math.ceil((batches * tokens * Math.ceil(dim / 4)) / THREADS),
      capabilities.limits.maxComputeWorkgroupsPerDimension,
    ),
    bindings: {
      ids: { tensor: "ids" },
      table: { buffer: part.buffer },
      positions: positions ? { tensor: "positions" } : { unused: true },
      types: types ? { tensor: "types" } : { unused: true },
      type_ids: types ? { tensor: "typeIds" } : { unused: true },
      lengths: lengths ? { buffer: lengths } : { unused: true },
      out: { tensor: "out" },
    },
    uniforms: {
      params: {
        strides_out: strides(out),
        base_out: base(out),
        base_positions: base(positions),
        base_types: base(types),
        stride_positions_row: strides(positions)[1],
        stride_positions_dim: strides(positions)[3],
        stride_types_row: strides(types)[1],
        stride_types_dim: strides(types)[3],
        positions: positions?.shape[1] ?? 1,
        types: types?.shape[1] ?? 1,
        batches,
        tokens,
        dim,
        columns: paddedColumns(table),
        vocabulary: table.rows,
        first_row: part.firstRow,
        rows: part.rows,
        scale,
      },
    },
    cost: {
      flops: 2 * elementCount(out.shape) * share,
      bytes: (bytesOf(out, positions && out, types && out) + batches * tokens * (rowBytes + 4)) * share,
    },
  };
}
