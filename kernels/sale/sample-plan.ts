import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import type { CompiledPlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { readWords } from "../../src/dispatch/read-back.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import { planSaleAttention } from "./attention-plan.js";
import type { SaleSample } from "./calibrate.js";
import { causalBlocks } from "./geometry.js";
import type { SaleProblem, SaleShape } from "./problem.js";

/** What thresholds come to on one sample, for each head. */
export interface SampleResult {
  /** Mean over tokens of the sum over channels of |sparse - dense|. */
  readonly error: readonly number[];
  /** Share of the causal blocks that was visited. */
  readonly kept: readonly number[];
}

/** SALE on one sample, with thresholds that change from run to run. */
export interface SamplePlan {
  run(thresholds: readonly number[]): Promise<SampleResult>;
  destroy(): void;
}

/**
 * Plans SALE on a sample, and computes what dense attention makes of it.
 *
 * @param shape the sample's, checked
 * @param proceed asked before each submit: throws when nobody waits any more
 */
export async function planSample(
  ctx: AttentionContext,
  { q, k, v }: SaleSample,
  options: Omit<SaleProblem, "q" | "k" | "v" | "thresholds">,
  shape: SaleShape,
  proceed: () => void,
): Promise<SamplePlan> {
  const { batches, tokens, heads, valueDim, scale } = shape;
  const usage = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
  const thresholdBuffer = ctx.device.createBuffer({ size: 4 * heads, usage });
  const created: { destroy(): void }[] = [thresholdBuffer];
  const release = () => {
    for (const one of created) one.destroy();
  };
  const submit = async <Tensors>({ segments }: CompiledPlan<Tensors>, tensors: Tensors): Promise<void> => {
    for (const segment of segments) {
      proceed();
      await ctx.submitChecked((encoder) => segment.record(encoder, tensors));
    }
  };
  try {
    const plan = await planSaleAttention(ctx, { q, k, v, ...options, thresholds: thresholdBuffer });
    created.push(plan);
    const dense = await planSoftmaxAttention(ctx, { q, k, v, causal: true, scale });
    created.push(dense);
    const out = ctx.empty(shape.out.shape, shape.out.dtype);
    created.push(out.buffer);
    const tensors = { q, k, v, out };
    await submit(dense, tensors);
    const expected = await ctx.read(out);
    const blocks = Array.from({ length: shape.queryBlocks }, (_, a) => causalBlocks(shape, a));
    const causal = batches * blocks.reduce((sum, count) => sum + count, 0);
    return {
      async run(thresholds) {
        ctx.device.queue.writeBuffer(thresholdBuffer, 0, Float32Array.from(thresholds));
        await submit(plan, tensors);
        const sums = absoluteDifferences(await ctx.read(out), expected, heads, valueDim);
        const rows = batches * heads * blocks.length;
        const words = await readWords(ctx, plan.blockMask.buffer, 2 * rows);
        const kept = Array<number>(heads).fill(0);
        for (let row = 0; row < rows; row++)
          kept[Math.floor(row / blocks.length) % heads]! += words[2 * row + 1]! / causal;
        return { error: sums.map((sum) => sum / (batches * tokens)), kept };
      },
      destroy: release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** [B, T, H, Dv] tensors' absolute differences, summed for each head. */
function absoluteDifferences(a: Float32Array, b: Float32Array, heads: number, valueDim: number): number[] {
  const sums = Array<number>(heads).fill(0);
  for (let i = 0; i < a.length; i++) sums[Math.floor(i / valueDim) % heads]! += Math.abs(a[i]! - b[i]!);
  return sums;
}
