import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import kernel from "./l2_normalize.wgsl";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkNumber, checkRows, checkShape } from "./layouts.js";
import { rowThreads } from "./row-threads.js";

export interface L2NormalizeProblem {
  /** [B, T, 1, dim] */
  readonly x: TensorLayout;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
  /** Least sum of squares that a row is divided by, so that zeros stay zeros. Default 1e-12, as in TensorFlow. */
  readonly epsilon?: number;
}

export interface L2NormalizeTensors {
  readonly x: TensorView;
  /** Written. Its buffer is not that of `x`. */
  readonly out: TensorView;
}

type L2NormalizeShape = Required<L2NormalizeProblem>;

/**
 * Plans the scaling of each row to length 1: x / sqrt(max(sum of x², epsilon)).
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planL2Normalize(
  ctx: AttentionContext,
  problem: L2NormalizeProblem,
): Promise<LayerPlan<L2NormalizeTensors>> {
  const shape = checkL2Normalize(problem, ctx.capabilities);
  return compileLayer(ctx, l2NormalizePass(shape, ctx.capabilities), {
    x: { layout: shape.x },
    out: { layout: shape.out, output: true },
  });
}

function checkL2Normalize(problem: L2NormalizeProblem, capabilities: Capabilities): L2NormalizeShape {
  checkOptions("l2Normalize", problem, ["x", "out", "epsilon"]);
  const { x, epsilon = 1e-12 } = problem;
  checkRows("x", x);
  const out = problem.out ?? { dtype: "f32", shape: x.shape };
  checkShape("out", out, x.shape);
  checkBindable({ x, out }, capabilities);
  checkNumber("epsilon", epsilon, 0);
  return { x, out, epsilon };
}

function l2NormalizePass({ x, out, epsilon }: L2NormalizeShape, capabilities: Capabilities): Pass {
  const [batches, tokens, , dim] = x.shape;
  return {
    name: "layers/l2_normalize",
    kernel,
    variant: "base",
    constants: { THREADS: rowThreads(capabilities) },
    workgroups: spreadWorkgroups(batches * tokens, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: { x: { tensor: "x" }, out: { tensor: "out" } },
    uniforms: {
      params: {
        strides_x: stridesOf(x),
        strides_out: stridesOf(out),
        base_x: bindingRange(x, capabilities).base,
        base_out: bindingRange(out, capabilities).base,
        batches,
        tokens,
        dim,
        epsilon,
      },
    },
    cost: { flops: 3 * batches * tokens * dim, bytes: bytesOf(x, out) },
  };
}
