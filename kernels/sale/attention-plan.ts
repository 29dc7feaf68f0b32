import type { CompiledPlan, PlanSegment } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import { bindTensors, type TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { type BlockMask, planSoftmaxAttention, type SoftmaxPlan } from "../softmax/index.js";
import { BLOCK_Q } from "./geometry.js";
import { checkProblem, type SaleProblem, type SaleShape } from "./problem.js";
import { readSelection, type SaleSelection } from "./read-selection.js";
import { compileSelection, type SelectionPlan } from "./selection.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface SaleTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
  /** Written, when the plan was made with `lse`. */
  readonly lse?: TensorView;
}

type Part = Pick<CompiledPlan<SaleTensors>, "passes" | "cost" | "record" | "segments">;

export interface SalePlan extends CompiledPlan<SaleTensors> {
  /** The blocks that each query block visits, once the plan has run. The plan's: it goes with `destroy()`. */
  readonly blockMask: BlockMask;
  /**
   * The plan's two parts, to be recorded by themselves: the block mask from q and k, and attention with a mask that is there. How many
   * blocks that visits is not known when planning: `attention.cost`, and with it `cost`, is that of all causal blocks.
   */
  readonly selection: Part;
  readonly attention: Part;
  /**
   * What the selection of the last submitted run computed: integers, scales, thresholds. Waits for the GPU.
   *
   * @throws AttentionError "disposed", "device-lost"
   */
  readSelection(): Promise<SaleSelection>;
}

/**
 * Plans SALE (arXiv 2505.24179): causal softmax attention in which a block of 64 query rows visits block 0 of the keys, its local
 * blocks, and those others in which any of its rows has a key of 4-bit estimated weight above its head's threshold, relative to
 * block 0 and the local keys alone. Scores and weights of visited keys are exact; keys that are not visited count as masked.
 *
 * Compiles what it needs; nothing is submitted. The plan holds the 4-bit copies of q and k and the block mask (`ctx.memory()`
 * counts them) until `destroy()`.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planSaleAttention(ctx: AttentionContext, problem: SaleProblem): Promise<SalePlan> {
  const shape = checkProblem(problem, ctx.capabilities);
  await ctx.assertAlive();
  const selection = await compileSelection(ctx, shape, problem.thresholds);
  try {
    const blockMask = maskOf(shape, selection);
    const attention = await planSoftmaxAttention(ctx, {
      q: shape.q,
      k: shape.k,
      v: shape.v,
      out: shape.out,
      ...(shape.lse && { lse: shape.lse }),
      causal: true,
      scale: shape.scale,
      blockMask,
    });
    return joined(ctx, shape, selection, attention, blockMask);
  } catch (error) {
    selection.destroy();
    throw error;
  }
}

function maskOf(shape: SaleShape, { buffers }: SelectionPlan): BlockMask {
  const { batches, heads, tokens, blockK } = shape;
  return { buffer: buffers.lists, shape: [batches, heads, tokens, tokens], blockQ: BLOCK_Q, blockK };
}

function joined(
  ctx: AttentionContext,
  shape: SaleShape,
  selection: SelectionPlan,
  attention: SoftmaxPlan,
  blockMask: BlockMask,
): SalePlan {
  const { q, k, v, out, lse } = shape;
  const specs: Record<string, TensorSpec> = {
    q: { layout: q },
    k: { layout: k },
    v: { layout: v },
    out: { layout: out, output: true },
    ...(lse && { lse: { layout: lse, output: true } }),
  };
  const check = (tensors: SaleTensors): void => {
    ctx.assertUsable();
    const views = { ...tensors } as Record<string, TensorView | undefined>;
    bindTensors(specs, views, ctx.capabilities, { blockMask: blockMask.buffer });
  };
  const selecting = (segment: PlanSegment<{ q: TensorView; k: TensorView }>): PlanSegment<SaleTensors> => ({
    passes: segment.passes,
    cost: segment.cost,
    record(encoder, tensors, options) {
      check(tensors);
      segment.record(encoder, { q: tensors.q, k: tensors.k }, options);
    },
  });
  const first: Part = { ...selecting(selection), segments: selection.segments.map(selecting) };
  return {
    passes: [...selection.passes, ...attention.passes],
    cost: sumCosts([selection.cost, attention.cost]),
    record(encoder, tensors, options) {
      first.record(encoder, tensors, options);
      attention.record(encoder, tensors, options);
    },
    segments: [...first.segments, ...attention.segments],
    blockMask,
    selection: first,
    attention,
    readSelection: () => readSelection(ctx, shape, selection),
    destroy() {
      attention.destroy();
      selection.destroy();
    },
  };
}
