import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkNumber, checkRows, checkShape } from "./layouts.js";
import kernel from "./rms_norm.wgsl";
import { rowThreads } from "./row-threads.js";

export interface RmsNormProblem {
  /** [B, T, 1, dim] */
  readonly x: TensorLayout;
  /** [1, 1, 1, dim]. Default none: SRMSNorm. */
  readonly scale?: TensorLayout;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
  /** Added to the mean of squares. Default 1e-6. */
  readonly epsilon?: number;
}

export interface RmsNormTensors {
  readonly x: TensorView;
  /** Given when it was planned. */
  readonly scale?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type RmsNormShape = RmsNormProblem & Required<Pick<RmsNormProblem, "out" | "epsilon">>;

/**
 * Plans root mean square normalisation (arXiv 1910.07467): scale x / sqrt(mean of x² + epsilon) over each row. Without `scale` it
 * is SRMSNorm of TransNormerLLM (arXiv 2307.14995).
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planRmsNorm(
  ctx: AttentionContext,
  problem: RmsNormProblem,
): Promise<LayerPlan<RmsNormTensors>> {
  const shape = checkRmsNorm(problem, ctx.capabilities);
  const { x, scale, out } = shape;
  return compileLayer(ctx, rmsNormPass(shape, ctx.capabilities), {
    x: { layout: x },
    ...(scale && { scale: { layout: scale } }),
    out: { layout: out, output: true },
  });
}

function checkRmsNorm(problem: RmsNormProblem, capabilities: Capabilities): RmsNormShape {
  checkOptions("rmsNorm", problem, ["x", "scale", "out", "epsilon"]);
  const { x, scale, epsilon = 1e-6 } = problem;
  const { dim } = checkRows("x", x);
  const out = problem.out ?? { dtype: "f32", shape: x.shape };
  if (scale) checkShape("scale", scale, [1, 1, 1, dim]);
  checkShape("out", out, x.shape);
  checkBindable({ x, scale, out }, capabilities);
  checkNumber("epsilon", epsilon, 0);
  return { x, out, epsilon, ...(scale && { scale }) };
}

function rmsNormPass({ x, scale, out, epsilon }: RmsNormShape, capabilities: Capabilities): Pass {
  const [batches, tokens, , dim] = x.shape;
  return {
    name: "layers/rms_norm",
    kernel,
    variant: "base",
    constants: { THREADS: rowThreads(capabilities), HAS_SCALE: scale !== undefined },
    workgroups: spreadWorkgroups(batches * tokens, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: {
      x: { tensor: "x" },
      scale: scale ? { tensor: "scale" } : { unused: true },
      out: { tensor: "out" },
    },
    uniforms: {
      params: {
        strides_x: stridesOf(x),
        strides_out: stridesOf(out),
        base_x: bindingRange(x, capabilities).base,
        base_scale: scale ? bindingRange(scale, capabilities).base : 0,
        base_out: bindingRange(out, capabilities).base,
        stride_scale: scale ? stridesOf(scale)[3] : 0,
        batches,
        tokens,
        dim,
        epsilon,
      },
    },
    cost: { flops: 4 * batches * tokens * dim, bytes: bytesOf(x, scale, out) },
  };
}
