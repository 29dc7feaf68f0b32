import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import type { Profiler } from "../../src/dispatch/profiler.js";
import {
  type Shape4,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import kernel from "./embedding.wgsl";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkNumber, checkShape } from "./layouts.js";
import { u32View } from "./u32-view.js";

export interface EmbeddingProblem {
  readonly batches: number;
  readonly tokens: number;
  /** [1, 1, vocabulary, dim], a row for each id */
  readonly table: TensorLayout;
  /** [1, T, 1, dim], added to every batch entry: learned, or from `sinusoidalPositions`. Default none. */
  readonly positions?: TensorLayout;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
  /** Factor of the table's rows. Default 1. */
  readonly scale?: number;
}

export interface EmbeddingTensors {
  /** u32 [B, T], dense, with STORAGE usage. Ids past the table's end read its last row. */
  readonly ids: GPUBuffer;
  readonly table: TensorView;
  /** Given when it was planned. */
  readonly positions?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type EmbeddingShape = Omit<Required<EmbeddingProblem>, "positions"> & { readonly positions?: TensorLayout };

const THREADS = 64;

/**
 * Plans out[b, t] = scale table[ids[b, t]] + positions[t].
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planEmbedding(
  ctx: AttentionContext,
  problem: EmbeddingProblem,
): Promise<LayerPlan<EmbeddingTensors>> {
  const shape = checkEmbedding(problem, ctx.capabilities);
  const idShape: Shape4 = [shape.batches, shape.tokens, 1, 1];
  const plan = await compileLayer(ctx, embeddingPass(shape, ctx.capabilities), {
    ids: { layout: { dtype: "f32", shape: idShape } },
    table: { layout: shape.table },
    ...(shape.positions && { positions: { layout: shape.positions } }),
    out: { layout: shape.out, output: true },
  });
  return {
    ...plan,
    record(
      encoder: GPUCommandEncoder,
      tensors: EmbeddingTensors,
      options?: { readonly profiler?: Profiler },
    ) {
      plan.record(encoder, { ...tensors, ids: u32View(tensors.ids, idShape) }, options);
    },
  };
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

function checkEmbedding(problem: EmbeddingProblem, capabilities: Capabilities): EmbeddingShape {
  checkOptions("embedding", problem, ["batches", "tokens", "table", "positions", "out", "scale"]);
  const { batches, tokens, table, positions, scale = 1 } = problem;
  checkLayout("ids", { dtype: "f32", shape: [batches, tokens, 1, 1] }, ["f32"]);
  checkLayout("table", table, ["f32"]);
  const [, , vocabulary, dim] = table.shape;
  checkShape("table", table, [1, 1, vocabulary, dim]);
  if (positions) checkShape("positions", positions, [1, tokens, 1, dim]);
  const out = problem.out ?? { dtype: "f32", shape: [batches, tokens, 1, dim] };
  checkShape("out", out, [batches, tokens, 1, dim]);
  checkBindable({ table, positions, out }, capabilities);
  checkNumber("scale", scale, -Infinity);
  return { batches, tokens, table, positions, out, scale };
}

function embeddingPass(shape: EmbeddingShape, capabilities: Capabilities): Pass {
  const { batches, tokens, table, positions, out, scale } = shape;
  const [, , vocabulary, dim] = table.shape;
  const base = (layout?: TensorLayout) => (layout ? bindingRange(layout, capabilities).base : 0);
  const strides = (layout?: TensorLayout): Shape4 => (layout ? stridesOf(layout) : [0, 0, 0, 0]);
  return {
    name: "layers/embedding",
    kernel,
    variant: "base",
    constants: { HAS_POSITIONS: positions !== undefined },
    workgroups: spreadWorkgroups(
      Math.ceil((batches * tokens * dim) / THREADS),
      capabilities.limits.maxComputeWorkgroupsPerDimension,
    ),
    bindings: {
      ids: { tensor: "ids" },
      table: { tensor: "table" },
      positions: positions ? { tensor: "positions" } : { unused: true },
      out: { tensor: "out" },
    },
    uniforms: {
      params: {
        strides_out: strides(out),
        base_table: base(table),
        base_positions: base(positions),
        base_out: base(out),
        stride_table_row: strides(table)[2],
        stride_table_dim: strides(table)[3],
        stride_positions_token: strides(positions)[1],
        stride_positions_dim: strides(positions)[3],
        batches,
        tokens,
        dim,
        vocabulary,
        scale,
      },
    },
    cost: { flops: 2 * batches * tokens * dim, bytes: bytesOf(out, out, positions) + 4 * batches * tokens },
  };
}
