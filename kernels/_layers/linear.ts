import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { bytesOf, checkBindable, isVec4, transposed } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { ACTIVATIONS, type Activation, checkActivation } from "./activations.js";
import { checkRounds, SPLIT_CHANNELS } from "./check-rounds.js";
import { checkRows, checkShape } from "./layouts.js";
import kernel from "./linear.wgsl";

export interface LinearProblem {
  /** [B, T, 1, in] */
  readonly x: TensorLayout;
  /** [1, 1, in, out]. A matrix stored [out, in] row-major is this with strides [0, 0, 1, in]. */
  readonly weight: TensorLayout;
  /** [1, 1, 1, out]. Default none. */
  readonly bias?: TensorLayout;
  /** [B, T, 1, out], added after the activation. Default none. */
  readonly residual?: TensorLayout;
  /** [B, T, 1, out]. Default dense. */
  readonly out?: TensorLayout;
  /** Default `"none"`. */
  readonly activation?: Activation;
}

export interface LinearTensors {
  readonly x: TensorView;
  readonly weight: TensorView;
  /** Given when it was planned. */
  readonly bias?: TensorView;
  /** Given when it was planned. */
  readonly residual?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

/** 64 threads: four groups of rows where they may leave early, else one, so that few rows keep few threads waiting. */
const TILE = { columnThreads: 16, rowThreads: 4, rows: 8 };
const QUAD_TILE = { columnThreads: 32, rowThreads: 1, rows: 16 };
/** Columns of a thread. */
const COLUMNS = 8;

/**
 * Plans out = activation(x W + bias) + residual, in dispatches within the context's `maxDispatchMs`.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planLinear(
  ctx: AttentionContext,
  problem: LinearProblem,
): Promise<BindablePlan<LinearTensors>> {
  const shape = checkLinear(problem, ctx.capabilities);
  const { x, weight, bias, residual, out } = shape;
  const segmentFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  await ctx.assertAlive();
  return compilePlan(ctx, {
    passes: linearPasses(shape, ctx.capabilities, segmentFlops),
    specs: {
      x: { layout: x },
      weight: { layout: weight },
      ...(bias && { bias: { layout: bias } }),
      ...(residual && { residual: { layout: residual } }),
      out: { layout: out, output: true },
    },
    segmentFlops,
  });
}

type LinearShape = LinearProblem & { readonly out: TensorLayout; readonly activation: Activation };

/** Checks a problem without touching the GPU and fills in its defaults. */
export function checkLinear(problem: LinearProblem, capabilities: Capabilities): LinearShape {
  checkOptions("linear", problem, ["x", "weight", "bias", "residual", "out", "activation"]);
  const { x, weight, bias, residual, activation = "none" } = problem;
  const { batches, tokens, dim } = checkRows("x", x);
  checkLayout("weight", weight, ["f32"]);
  const outer = weight.shape[3];
  checkShape("weight", weight, [1, 1, dim, outer]);
  const out = problem.out ?? { dtype: "f32", shape: [batches, tokens, 1, outer] };
  if (bias) checkShape("bias", bias, [1, 1, 1, outer]);
  if (residual) checkShape("residual", residual, [batches, tokens, 1, outer]);
  checkShape("out", out, [batches, tokens, 1, outer]);
  checkBindable({ x, weight, bias, residual, out }, capabilities);
  checkActivation("linear activation", activation);
  checkChannels(dim, capabilities);
  return { x, weight, bias, residual, out, activation };
}

/** Of the loop over the channels. @throws AttentionError "unsupported" */
function checkChannels(inner: number, capabilities: Capabilities): void {
  // Four channels a round; then each four sums of a thread, whose bias, residual and output are up to four rounds apiece.
  const rounds = Math.ceil(inner / 4) + (QUAD_TILE.rows * COLUMNS * (1 + 3 * 4)) / 4;
  checkRounds(rounds, capabilities, {
    ...{ subject: "x.shape[3] (dim)", fewer: "channels", got: inner, fix: SPLIT_CHANNELS },
  });
}

/** The passes of a checked problem. Pure: the same problem gives the same passes. */
export function linearPasses(
  shape: LinearShape,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): Pass[] {
  const { x, weight, bias, residual, out, activation } = shape;
  const [batches, tokens, , inner] = x.shape;
  const outer = weight.shape[3];
  const [, , strideInner, strideOuter] = stridesOf(weight);
  const innerFirst = strideInner === 1 && strideOuter !== 1;
  const quads = capabilities.subgroups && capabilities.software;
  const tile = quads ? QUAD_TILE : TILE;
  const [tileRows, tileColumns] = [tile.rowThreads * tile.rows, tile.columnThreads * COLUMNS];
  const groups = Math.ceil((batches * tokens) / tileRows) * Math.ceil(outer / tileColumns);
  const flops = 2 * batches * tokens * inner * outer;
  const work = 2 * tileRows * inner * tileColumns;

  const rows = [x, out, ...(bias ? [bias] : []), ...(residual ? [residual] : [])];
  // A matrix stored the other way round is read as vec4 along its inner axis.
  const matrix = innerFirst ? transposed(weight) : weight;
  const vec4 = [...rows, matrix].every((layout) => isVec4(layout, capabilities)) && outer % 4 === 0;

  const base = (layout?: TensorLayout) => (layout ? bindingRange(layout, capabilities).base : 0);
  const strides = (layout?: TensorLayout) => (layout ? stridesOf(layout) : [0, 0, 0, 0]);
  const uniforms = {
    strides_x: strides(x),
    strides_residual: strides(residual),
    strides_out: strides(out),
    base_x: base(x),
    base_weight: base(weight),
    base_bias: base(bias),
    base_residual: base(residual),
    base_out: base(out),
    stride_weight_inner: strideInner,
    stride_weight_outer: strideOuter,
    stride_bias: strides(bias)[3]!,
    ...{ batches, tokens, inner, outer },
  };
  return runPasses(
    {
      name: "layers/linear",
      kernel,
      variant: variantKey(kernel, [...(vec4 ? ["vec4"] : []), ...(quads ? ["subgroups"] : [])]),
      constants: {
        HAS_BIAS: bias !== undefined,
        HAS_RESIDUAL: residual !== undefined,
        ACTIVATION: ACTIVATIONS.indexOf(activation),
        COLUMN_THREADS: tile.columnThreads,
        ROW_THREADS: tile.rowThreads,
        ...(vec4 && { INNER_FIRST: innerFirst }),
      },
      bindings: {
        x: { tensor: "x" },
        weight: { tensor: "weight" },
        bias: bias ? { tensor: "bias" } : { unused: true },
        residual: residual ? { tensor: "residual" } : { unused: true },
        out: { tensor: "out" },
      },
    },
    ({ first, count }) => ({ params: { ...uniforms, first_group: first, groups: count } }),
    capabilities,
    cutWorkgroups([{ work, flops: flops / groups }], groups, maxDispatchFlops),
    bytesOf(x, weight, bias, residual, out),
  );
}
