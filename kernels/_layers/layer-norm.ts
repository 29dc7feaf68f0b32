import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import kernel from "./layer_norm.wgsl";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkNumber, checkRows, checkShape } from "./layouts.js";
import { rowThreads } from "./row-threads.js";

export interface LayerNormProblem {
  /** [B, T, 1, dim] */
  readonly x: TensorLayout;
  /** [1, 1, 1, dim] */
  readonly scale: TensorLayout;
  /** [1, 1, 1, dim] */
  readonly bias: TensorLayout;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
  /** Added to the variance. Default 1e-5, as in PyTorch; TensorFlow's Transformer has 1e-6. */
  readonly epsilon?: number;
}

export interface LayerNormTensors {
  readonly x: TensorView;
  readonly scale: TensorView;
  readonly bias: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type LayerNormShape = Required<LayerNormProblem>;

/**
 * Plans layer normalisation (arXiv 1607.06450): scale (x - mean) / sqrt(variance + epsilon) + bias over each row, with the
 * variance of the population.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planLayerNorm(
  ctx: AttentionContext,
  problem: LayerNormProblem,
): Promise<LayerPlan<LayerNormTensors>> {
  const shape = checkLayerNorm(problem, ctx.capabilities);
  return compileLayer(ctx, layerNormPass(shape, ctx.capabilities), {
    x: { layout: shape.x },
    scale: { layout: shape.scale },
    bias: { layout: shape.bias },
    out: { layout: shape.out, output: true },
  });
}

function checkLayerNorm(problem: LayerNormProblem, capabilities: Capabilities): LayerNormShape {
  checkOptions("layerNorm", problem, ["x", "scale", "bias", "out", "epsilon"]);
  const { x, scale, bias, epsilon = 1e-5 } = problem;
  const { dim } = checkRows("x", x);
  const out = problem.out ?? { dtype: "f32", shape: x.shape };
  checkShape("scale", scale, [1, 1, 1, dim]);
  checkShape("bias", bias, [1, 1, 1, dim]);
  checkShape("out", out, x.shape);
  checkBindable({ x, scale, bias, out }, capabilities);
  checkNumber("epsilon", epsilon, 0);
  return { x, scale, bias, out, epsilon };
}

function layerNormPass({ x, scale, bias, out, epsilon }: LayerNormShape, capabilities: Capabilities): Pass {
  const [batches, tokens, , dim] = x.shape;
  const base = (layout: TensorLayout) => bindingRange(layout, capabilities).base;
  return {
    name: "layers/layer_norm",
    kernel,
    variant: "base",
    constants: { THREADS: rowThreads(capabilities) },
    workgroups: spreadWorkgroups(batches * tokens, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: {
      x: { tensor: "x" },
      scale: { tensor: "scale" },
      bias: { tensor: "bias" },
      out: { tensor: "out" },
    },
    uniforms: {
      params: {
        strides_x: stridesOf(x),
        strides_out: stridesOf(out),
        base_x: base(x),
        base_scale: base(scale),
        base_bias: base(bias),
        base_out: base(out),
        stride_scale: stridesOf(scale)[3],
        stride_bias: stridesOf(bias)[3],
        batches,
        tokens,
        dim,
        epsilon,
      },
    },
    cost: { flops: 8 * batches * tokens * dim, bytes: bytesOf(x, scale, bias, out) },
  };
}
