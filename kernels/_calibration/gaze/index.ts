/**
 * GIFT (arXiv 2510.22067) on the GPU: `planGazeSaliency` once for each prompt, in the layer that shows where the question's gaze goes;
 * `planGazeEnhancement` in each layer that is to follow it.
 */

import { type CompiledPlan, compilePlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import type { TensorSpec } from "../../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../../src/dispatch/tensor-view.js";
import { dispatchBudget } from "../../softmax/effort.js";
import { planSoftmaxAttention, type SoftmaxProblem } from "../../softmax/index.js";
import { loadMods } from "../../softmax/load-mods.js";
import { softmaxTables } from "../../softmax/tables.js";
import { chainScoreMods } from "../chain-score-mods.js";
import { PlanSequence, type Views } from "../plan-sequence.js";
import { type GazeInputs, planRowBias, planSaliency } from "./passes.js";
import {
  checkEnhancement,
  checkSaliency,
  type GazeEnhancementProblem,
  type GazeSaliencyProblem,
  type GazeShape,
} from "./problem.js";
import { rowBiasMod } from "./row-mod.js";

export type { GazeEnhancementProblem, GazeSaliencyProblem } from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface GazeSaliencyTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** As softmax attention left it. Read. */
  readonly lse: TensorView;
  /** [B, image keys, 1, 1] f32 from 0 to 1. Written. */
  readonly saliency: TensorView;
}

/**
 * Plans the image's saliency: gaze shifts D_ij = max(A_ij - A_i-1,j, 0) over the content words i, averaged over the half of the heads with the
 * largest totals, clamped to 3 standard deviations around their mean, scaled to [0, 1]; 0 where all keys are alike.
 *
 * @throws AttentionError "shape" (also without content words), "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planGazeSaliency(
  ctx: AttentionContext,
  problem: GazeSaliencyProblem,
): Promise<CompiledPlan<GazeSaliencyTensors>> {
  const { image: _image, contentRows: _rows, saliency: _saliency, ...attention } = problem;
  const shape = checkSaliency(problem, ctx.capabilities, await loadMods(problem));
  await ctx.assertAlive();
  const { inputs, tables, specs } = setUp(ctx, attention, shape);
  return compilePlan<GazeSaliencyTensors>(ctx, {
    passes: planSaliency(inputs),
    specs: { ...specs, saliency: { layout: shape.saliency, output: true } },
    tables,
    segmentFlops: inputs.maxDispatchFlops,
  });
}

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface GazeEnhancementTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** As `planGazeSaliency` left it. Read. */
  readonly saliency: TensorView;
  /** What softmax attention made of the others; the last row is written anew. */
  readonly out: TensorView;
  /** Likewise; read, and left as it is: that of the row before. */
  readonly lse: TensorView;
}

/**
 * Plans attention of the last query row that follows the gaze: alpha S_j is added to the scores of the image's keys in the half of the heads
 * that looks at the image most, ln r to those of the question's keys in the half that looks at the question most, with r by how much the
 * former weigh their image more. Added last: behind a bias, soft cap and mod of the application's. Other rows stay as they are.
 *
 * Compiles what it needs; nothing is submitted. The plan holds the bias of the row (`ctx.memory()` counts it) until `destroy()`.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planGazeEnhancement(
  ctx: AttentionContext,
  problem: GazeEnhancementProblem,
): Promise<CompiledPlan<GazeEnhancementTensors>> {
  const { image: _image, question: _question, alpha: _alpha, saliency: _saliency, ...attention } = problem;
  const shape = checkEnhancement(problem, ctx.capabilities, await loadMods(problem));
  await ctx.assertAlive();
  const parts = new PlanSequence(ctx);
  try {
    const { softmax } = shape;
    const { inputs, tables, specs } = setUp(ctx, attention, shape);
    const { batches, heads, tokensQ, tokensK, out } = softmax;
    const reads = { ...specs, saliency: { layout: shape.saliency } };
    if (shape.alpha > 0) {
      const rowBias = parts.hold({ dtype: "f32", shape: [batches, heads, 1, tokensK] });
      // A mod of the application's changes what the bias makes of a score: what is added has to come behind it.
      const { scoreMod } = attention;
      const onTop = scoreMod ? undefined : softmax.bias;
      const plan = compilePlan<object>(ctx, {
        passes: planRowBias(inputs, rowBias.buffer, onTop),
        specs: reads,
        tables,
        segmentFlops: inputs.maxDispatchFlops,
      });
      await parts.add(plan, (views) => pick(views, Object.keys(reads)));

      const { lse: _lse, ...row } = { ...attention, out };
      const added = scoreMod
        ? { scoreMod: chainScoreMods(scoreMod, rowBiasMod(rowBias.buffer, softmax)) }
        : { bias: rowBias };
      const listed = tokensQ > 1 ? { queryRows: parts.give(lastRows(batches * heads, tokensQ)) } : {};
      await parts.add(planSoftmaxAttention(ctx, { ...row, ...added, ...listed }), (views) => {
        const { q, k, v, out } = views;
        const bias = scoreMod ? views.bias : rowBias;
        return { q: q!, k: k!, v: v!, out: out!, ...(bias && { bias }) };
      });
    }
    return parts.joined<GazeEnhancementTensors>({
      ...reads,
      v: { layout: softmax.v },
      out: { layout: out, output: true },
    });
  } catch (error) {
    parts.destroy();
    throw error;
  }
}

function setUp(ctx: AttentionContext, attention: SoftmaxProblem, shape: GazeShape) {
  const { softmax, contentRows } = shape;
  const tables = softmaxTables(softmax, attention);
  const terms = tables.terms!;
  const values = Uint32Array.from([...terms.values, ...contentRows]);
  const maxDispatchFlops = dispatchBudget(softmax, ctx.capabilities, ctx.maxDispatchMs);
  const inputs: GazeInputs = {
    shape,
    rowsAt: terms.values.length,
    capabilities: ctx.capabilities,
    maxDispatchFlops,
  };
  const specs: Record<string, TensorSpec> = {
    q: { layout: softmax.q },
    k: { layout: softmax.k },
    lse: { layout: softmax.lse },
    ...(attention.bias && { bias: { layout: attention.bias } }),
  };
  return { inputs, tables: { ...tables, terms: { ...terms, values } }, specs };
}

/** For each head: one row, the last. */
function lastRows(heads: number, tokensQ: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(heads * (1 + tokensQ));
  for (let head = 0; head < heads; head++) words.set([1, tokensQ - 1], head * (1 + tokensQ));
  return words;
}

function pick(views: Views, names: readonly string[]): Views {
  return Object.fromEntries(names.map((name) => [name, views[name]!]));
}
