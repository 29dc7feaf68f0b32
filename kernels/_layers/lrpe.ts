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
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkNumber, checkShape } from "./layouts.js";
import { checkLengths } from "./lengths.js";
import kernel from "./lrpe.wgsl";
import { checkFrequencies, turnSteps } from "./turn-steps.js";

export interface LrpeProblem {
  /** [B, T, H, D] */
  readonly x: TensorLayout;
  /** [B, T, H, 2 D]. Default dense. */
  readonly out?: TensorLayout;
  /** Base of the frequencies theta^(-2c / (H D)), c counted through all heads; at least 1. Default 10000. */
  readonly theta?: number;
  /** [H D] radians per token, finite, instead of `theta`: learned ones. */
  readonly frequencies?: ArrayLike<number>;
  /** Position of the first token, an integer from 0, instead of `lengths`. Default 0. */
  readonly firstPosition?: number;
  /** u32 [B], STORAGE usage: tokens of each sequence after this step, read at every run; row t is at length - T + t. Default none. */
  readonly lengths?: GPUBuffer;
}

export interface LrpeTensors {
  readonly x: TensorView;
  /** Written. Its buffer is not that of `x`. */
  readonly out: TensorView;
}

interface LrpeShape extends Required<Pick<LrpeProblem, "x" | "out" | "firstPosition" | "frequencies">> {
  readonly lengths?: GPUBuffer;
}

const THREADS = 64;

/**
 * Plans the position encoding of TransNormerLLM's first layers (LRPE, arXiv 2307.14995): channel c of a token at position t
 * becomes two, x cos(θ_c t) and D further on x sin(θ_c t).
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planLrpe(ctx: AttentionContext, problem: LrpeProblem): Promise<LayerPlan<LrpeTensors>> {
  const shape = checkLrpe(problem, ctx.capabilities);
  const specs = { x: { layout: shape.x }, out: { layout: shape.out, output: true } };
  const tables = { steps: { values: turnSteps(shape.frequencies) } };
  return compileLayer(ctx, lrpePass(shape, ctx.capabilities), specs, tables);
}

function checkLrpe(problem: LrpeProblem, capabilities: Capabilities): LrpeShape {
  checkOptions("lrpe", problem, ["x", "out", "theta", "frequencies", "firstPosition", "lengths"]);
  const { x, theta = 10_000, firstPosition = 0, lengths } = problem;
  expectOne("theta or frequencies", problem.theta, problem.frequencies);
  expectOne("firstPosition or lengths", problem.firstPosition, problem.lengths);
  checkLayout("x", x, ["f32"]);
  const [batches, tokens, heads, dim] = x.shape;
  const shape: Shape4 = [batches, tokens, heads, 2 * dim];
  const out = problem.out ?? { dtype: "f32", shape };
  checkShape("out", out, shape);
  checkBindable({ x, out }, capabilities);
  checkNumber("theta", theta, 1);
  if (!Number.isInteger(firstPosition) || firstPosition < 0 || firstPosition + tokens > 2 ** 31)
    fail(
      "shape",
      "firstPosition",
      "an integer from 0 to 2^31 - tokens",
      firstPosition,
      "Tokens count from 0.",
    );
  const channels = heads * dim;
  const frequencies =
    problem.frequencies ?? Array.from({ length: channels }, (_, c) => theta ** ((-2 * c) / channels));
  if (frequencies.length !== channels)
    fail(
      "shape",
      "frequencies",
      `${channels} numbers, heads times channels`,
      frequencies.length,
      "One for each channel.",
    );
  checkFrequencies(frequencies);
  if (lengths !== undefined) checkLengths(lengths, batches);
  return { x, out, frequencies, firstPosition, ...(lengths && { lengths }) };
}

/** Two options that say the same thing: of both, one would be ignored. */
function expectOne(names: string, first: unknown, second: unknown): void {
  if (first !== undefined && second !== undefined)
    fail("unsupported", names, "one of them", "both", "Leave one out.");
}

function lrpePass({ x, out, firstPosition, lengths }: LrpeShape, capabilities: Capabilities): Pass {
  const [batches, tokens, heads, dim] = x.shape;
  const groups = Math.ceil(elementCount(x.shape) / THREADS);
  return {
    name: "layers/lrpe",
    kernel,
    variant: "base",
    constants: { THREADS, HAS_LENGTHS: lengths !== undefined },
    workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: {
      x: { tensor: "x" },
      out: { tensor: "out" },
      steps: { table: "steps" },
      lengths: lengths ? { buffer: lengths } : { unused: true },
    },
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
        first_position: firstPosition,
      },
    },
    cost: { flops: 2 * elementCount(x.shape), bytes: bytesOf(x, out) },
  };
}
