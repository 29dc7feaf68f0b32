import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import {
  elementCount,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkShape } from "./layouts.js";
import kernel from "./rope.wgsl";
import { checkFrequencies, turnSteps } from "./turn-steps.js";

export interface RopeProblem {
  /** [B, T, H, D] f32; row t stands at position t. */
  readonly x: TensorLayout;
  /** [B, T, H, D] f32. Default dense. */
  readonly out?: TensorLayout;
  /** Radians a token of each pair of channels, finite: twice as many channels turn, from the first on, and the others stay. */
  readonly frequencies: ArrayLike<number>;
  /** Whether a channel turns with its neighbour instead of with the one half of the turned channels further. Default false. */
  readonly interleaved?: boolean;
}

export interface RopeTensors {
  readonly x: TensorView;
  /** Written. Its buffer is not that of `x`. */
  readonly out: TensorView;
}

type RopeShape = Required<RopeProblem>;

const THREADS = 64;

/**
 * Plans rotary position embedding (RoPE, arXiv 2104.09864) by itself. Softmax attention turns q and k as it reads them; this is for what does
 * not.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planRope(ctx: AttentionContext, problem: RopeProblem): Promise<LayerPlan<RopeTensors>> {
  const shape = checkRope(problem, ctx.capabilities);
  const specs = { x: { layout: shape.x }, out: { layout: shape.out, output: true } };
  const tables = { steps: { values: turnSteps(shape.frequencies) } };
  return compileLayer(ctx, ropePass(shape, ctx.capabilities), specs, tables);
}

function checkRope(problem: RopeProblem, capabilities: Capabilities): RopeShape {
  checkOptions("rope", problem, ["x", "out", "frequencies", "interleaved"]);
  const { x, frequencies, interleaved = false } = problem;
  checkLayout("x", x, ["f32"]);
  const out = problem.out ?? { dtype: "f32", shape: x.shape };
  checkShape("out", out, x.shape);
  checkBindable({ x, out }, capabilities);
  checkBoolean("interleaved", interleaved);
  const pairs = frequencies?.length;
  if (!(pairs >= 1 && 2 * pairs <= x.shape[3]))
    fail(
      "shape",
      "frequencies",
      `from 1 to ${Math.floor(x.shape[3] / 2)} numbers`,
      pairs,
      "One for each pair.",
    );
  checkFrequencies(frequencies);
  return { x, out, frequencies, interleaved };
}

function ropePass({ x, out, frequencies, interleaved }: RopeShape, capabilities: Capabilities): Pass {
  const [batches, tokens, heads, dim] = x.shape;
  const groups = Math.ceil(elementCount(x.shape) / THREADS);
  return {
    name: "layers/rope",
    kernel,
    variant: "base",
    constants: { THREADS, INTERLEAVED: interleaved },
    workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: { x: { tensor: "x" }, out: { tensor: "out" }, steps: { table: "steps" } },
    uniforms: {
      params: {
        strides_x: stridesOf(x),
        strides_out: stridesOf(out),
        base_x: bindingRange(x, capabilities).base,
        base_out: bindingRange(out, capabilities).base,
        batches,
        tokens,
        heads,
        dim,
        turned: 2 * frequencies.length,
      },
    },
    cost: { flops: 3 * elementCount(x.shape), bytes: bytesOf(x, out) },
  };
}
