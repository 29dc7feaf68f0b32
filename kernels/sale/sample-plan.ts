import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import type { CompiledPlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { readWords } from "../../src/dispatch/read-words.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import { planSaleAttention, type SalePlan } from "./attention-plan.js";
import type { SaleSample } from "./calibrate.js";
import { causalBlocks, geometryOf } from "./geometry.js";
import type { SaleOptions } from "./options.js";

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

/** Plans SALE on a sample, and computes what dense attention makes of it. */
export async function planSample(
  ctx: AttentionContext,
  { q, k, v }: SaleSample,
  options: Required<Pick<SaleOptions, "blockK" | "segment" | "localWindow">> & Pick<SaleOptions, "scale">,
): Promise<SamplePlan> {
  const [batches, tokens, heads] = q.shape;
  const { blockK, segment, localWindow, scale } = options;
  const usage = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
  const thresholdBuffer = ctx.device.createBuffer({ size: 4 * heads, usage });
  const out = ctx.empty([batches, tokens, heads, v.shape[3]], q.dtype);
  const tensors = { q, k, v, out };
  let plan: SalePlan | undefined;
  const release = () => {
    plan?.destroy();
    thresholdBuffer.destroy();
    out.buffer.destroy();
  };
  try {
    const sale = await planSaleAttention(ctx, { q, k, v, ...options, thresholds: thresholdBuffer });
    plan = sale;
    const dense = await planSoftmaxAttention(ctx, {
      q,
      k,
      v,
      causal: true,
      ...(scale !== undefined && { scale }),
    });
    await submitSegments(ctx, dense, tensors);
    dense.destroy();
    const expected = await ctx.read(out);
    const geometry = geometryOf({ tokens, blockK, segment, localWindow });
    const blocks = Array.from({ length: geometry.queryBlocks }, (_, a) => causalBlocks(geometry, a));
    const causal = batches * blocks.reduce((sum, count) => sum + count, 0);
    return {
      async run(thresholds) {
        ctx.device.queue.writeBuffer(thresholdBuffer, 0, Float32Array.from(thresholds));
        await submitSegments(ctx, sale, tensors);
        const sums = absoluteDifferences(await ctx.read(out), expected, heads, v.shape[3]);
        const rows = batches * heads * blocks.length;
        const words = await readWords(ctx, sale.blockMask.buffer, 2 * rows);
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

async function submitSegments<Tensors>(
  ctx: AttentionContext,
  { segments }: CompiledPlan<Tensors>,
  tensors: Tensors,
): Promise<void> {
  for (const segment of segments) await ctx.submitChecked((encoder) => segment.record(encoder, tensors));
}
