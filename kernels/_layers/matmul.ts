import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, expectEqual, fail } from "../../src/dispatch/check.js";
import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { broadcastLayout, checkBindable } from "../../src/dispatch/layout.js";
import type { TensorLayout, TensorView } from "../../src/dispatch/tensor-view.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import { type Activation, checkActivation } from "./activations.js";
import { checkRounds, SPLIT_CHANNELS } from "./check-rounds.js";
import { checkShape } from "./layouts.js";
import { matmulPasses } from "./matmul-passes.js";
import { checkVector, packVectors, type Vectors } from "./pack-vectors.js";
import { checkPrologue, type Prologue, type PrologueProblem } from "./prologue.js";
import { type StackedShape, type StackedWeights, stackWeights } from "./stacked-weights.js";

export interface MatmulProblem extends PrologueProblem {
  /** Rows are outputs. Buffers of the weights are those of the plan: it binds them at every `record`. */
  readonly weight: StackedWeights;
  /** [1, 1, 1, rows of the weights], read when planning. Default none. */
  readonly bias?: TensorView;
  /** Default `"none"`. */
  readonly activation?: Activation;
  /** How many outputs, from the first, have the activation. Default all. */
  readonly activated?: number;
  /** out = activation(first half of the rows) * second half: SwiGLU with `"silu"`, GEGLU, GLU (arXiv 2002.05202). Default false. */
  readonly gated?: boolean;
  /** [1 or B, 1 or T, 1, 1 or out] f32: multiplies before the residual is added, as adaLN-Zero's gate. Default none. */
  readonly outScale?: TensorLayout;
  /** [1 or B, 1 or T, 1, 1 or out] f32, added last: the stream, or position embeddings. Default none. */
  readonly residual?: TensorLayout;
  /** [B, T, 1, out] f32. Default dense. */
  readonly out?: TensorLayout;
}

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface MatmulTensors {
  readonly x: TensorView;
  /** `modulation.scale` and `modulation.shift`, given when they were planned; likewise the others. */
  readonly scale?: TensorView;
  readonly shift?: TensorView;
  readonly outScale?: TensorView;
  readonly residual?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

/** A checked problem. */
export interface MatmulShape extends StackedShape {
  readonly prologue: Prologue;
  readonly vectors: Vectors;
  readonly activation: Activation;
  readonly activated: number;
  readonly gated: boolean;
  /** Of all passes. */
  readonly outputs: number;
  readonly outScale?: TensorLayout;
  readonly residual?: TensorLayout;
  readonly out: TensorLayout;
}

/**
 * Plans out = outScale * activation(normalised x · Wᵀ + bias) + residual, with weights in any storage: one pass for each part of
 * the weights, and one more for the norm of more than eight rows. Up to eight rows read the weights once. Where all that is read is
 * more than a device binds, `outScale` and `residual` are a pass of their own.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planMatmul(
  ctx: AttentionContext,
  problem: MatmulProblem,
): Promise<BindablePlan<MatmulTensors>> {
  const shape = checkMatmul(problem, ctx.capabilities);
  const { modulation, outScale, residual } = problem;
  await ctx.assertAlive();
  const vectors = await packVectors(ctx, shape.vectors);
  const segmentFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  return withVectors(ctx, vectors, (source) =>
    compilePlan<MatmulTensors>(ctx, {
      passes: matmulPasses(shape, source, ctx.capabilities, segmentFlops),
      specs: {
        x: { layout: problem.x },
        ...(modulation && { scale: { layout: modulation.scale } }),
        ...(modulation?.shift && { shift: { layout: modulation.shift } }),
        ...(outScale && { outScale: { layout: outScale } }),
        ...(residual && { residual: { layout: residual } }),
        out: { layout: shape.out, output: true },
      },
      segmentFlops,
    }),
  );
}

/** Of the loop over the columns, and that for statistics. @throws AttentionError "unsupported" */
function checkColumns(columns: number, capabilities: Capabilities): void {
  // Of f32 weights, a vec4 of columns a round; eight rows' statistics, twice over, by eight threads that add up in one run.
  const rounds = Math.ceil(columns / 4) + 2 * 8 * (Math.ceil(columns / 4 / 8) + 8 + 1);
  checkRounds(rounds, capabilities, {
    ...{ subject: "weight.columns", fewer: "channels", got: columns, fix: SPLIT_CHANNELS },
  });
}

/** A plan that owns its packed vectors: they go with it, or with the failure to compile it. */
export async function withVectors<Tensors>(
  ctx: AttentionContext,
  vectors: GPUBuffer | undefined,
  compile: (
    source: { readonly buffer: GPUBuffer } | { readonly unused: true },
  ) => Promise<BindablePlan<Tensors>>,
): Promise<BindablePlan<Tensors>> {
  const release = () => vectors && ctx.scratch.release(vectors);
  try {
    const plan = await compile(vectors ? { buffer: vectors } : { unused: true });
    return {
      ...plan,
      destroy() {
        plan.destroy();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

const OPTIONS = [
  "x",
  "norm",
  "modulation",
  "weight",
  "bias",
  "activation",
  "activated",
  "gated",
  "outScale",
  "residual",
  "out",
] as const satisfies readonly (keyof MatmulProblem)[];

/** Checks a problem without touching the GPU and fills in its defaults. */
export function checkMatmul(problem: MatmulProblem, capabilities: Capabilities): MatmulShape {
  checkOptions("matmul", problem, OPTIONS);
  const { activation = "none", gated = false, bias, norm } = problem;
  const prologue = checkPrologue(problem);
  checkBoolean("gated", gated);
  const stacked = stackWeights("weight", problem.weight, gated, capabilities.limits);
  expectEqual("weight.columns", stacked.columns, prologue.inner, "the channels of x");
  const outputs = gated ? stacked.rows / 2 : stacked.rows;
  if (bias) checkVector("bias", bias, stacked.rows);
  checkActivation("matmul activation", activation);
  const { activated = outputs } = problem;
  if (!Number.isInteger(activated) || activated < 0 || activated > outputs)
    fail(
      "shape",
      "activated",
      `an integer from 0 to ${outputs} (the outputs)`,
      activated,
      "Leave it out for all.",
    );
  const full = [prologue.batches, prologue.tokens, 1, outputs] as const;
  const axes = "Activations have the axes [batch, tokens, 1, channels].";
  const outScale = problem.outScale && broadcastLayout("outScale", problem.outScale, full, axes);
  const residual = problem.residual && broadcastLayout("residual", problem.residual, full, axes);
  const out = problem.out ?? { dtype: "f32", shape: full };
  checkShape("out", out, full);
  const { x, scale, shift } = prologue;
  checkBindable({ x, scale, shift, outScale, residual, out }, capabilities);
  checkColumns(prologue.inner, capabilities);
  return {
    ...stacked,
    prologue,
    vectors: { normWeight: norm?.weight, normBias: norm?.bias, bias },
    activation,
    activated,
    gated,
    outputs,
    out,
    ...(outScale && { outScale }),
    ...(residual && { residual }),
  };
}
