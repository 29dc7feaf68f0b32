import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import { checkRounds } from "./check-rounds.js";
import { compileLayer, type LayerPlan, layerPlanWith } from "./layer-plan.js";
import { checkRows, checkShape } from "./layouts.js";
import kernel from "./mean_pool.wgsl";
import { u32View } from "./u32-view.js";

export interface MeanPoolProblem {
  /** [B, T, 1, dim] */
  readonly x: TensorLayout;
  /** [B, 1, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
}

export interface MeanPoolTensors {
  readonly x: TensorView;
  /** u32 [B] with STORAGE usage: tokens of each batch entry; what is past T counts as T. */
  readonly lengths: GPUBuffer;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type MeanPoolShape = Required<MeanPoolProblem>;

const THREADS = 64;

/**
 * Plans the mean over the first `lengths[b]` tokens of each batch entry; zeros where there are none. Later tokens are not read.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planMeanPool(
  ctx: AttentionContext,
  problem: MeanPoolProblem,
): Promise<LayerPlan<MeanPoolTensors>> {
  const shape = checkMeanPool(problem, ctx.capabilities);
  const batches = shape.x.shape[0];
  const plan = await compileLayer(ctx, meanPoolPass(shape, ctx.capabilities), {
    x: { layout: shape.x },
    lengths: { layout: { dtype: "f32", shape: [1, 1, 1, batches] } },
    out: { layout: shape.out, output: true },
  });
  return layerPlanWith(plan, (tensors: MeanPoolTensors) => ({
    ...tensors,
    lengths: u32View(tensors.lengths, [1, 1, 1, batches]),
  }));
}

function checkMeanPool(problem: MeanPoolProblem, capabilities: Capabilities): MeanPoolShape {
  checkOptions("meanPool", problem, ["x", "out"]);
  const { x } = problem;
  const { batches, tokens, dim } = checkRows("x", x);
  const out = problem.out ?? { dtype: "f32", shape: [batches, 1, 1, dim] };
  checkShape("out", out, [batches, 1, 1, dim]);
  checkBindable({ x, out }, capabilities);
  checkRounds(tokens, capabilities, {
    ...{ subject: "x.shape[1] (tokens)", fewer: "tokens", got: tokens },
    fix: "Pool elsewhere, or pool shorter parts and weigh their means by their lengths.",
  });
  return { x, out };
}

function meanPoolPass({ x, out }: MeanPoolShape, capabilities: Capabilities): Pass {
  const [batches, tokens, , dim] = x.shape;
  return {
    name: "layers/mean_pool",
    kernel,
    variant: "base",
    constants: {},
    workgroups: spreadWorkgroups(
      batches * Math.ceil(dim / THREADS),
      capabilities.limits.maxComputeWorkgroupsPerDimension,
    ),
    bindings: { x: { tensor: "x" }, lengths: { tensor: "lengths" }, out: { tensor: "out" } },
    uniforms: {
      params: {
        strides_x: stridesOf(x),
        strides_out: stridesOf(out),
        base_x: bindingRange(x, capabilities).base,
        base_out: bindingRange(out, capabilities).base,
        batches,
        tokens,
        dim,
      },
    },
    cost: { flops: batches * tokens * dim, bytes: bytesOf(x, out) + 4 * batches },
  };
}
