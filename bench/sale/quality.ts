import { planSaleAttention } from "../../kernels/sale/index.js";
import { type BlockMask, planSoftmaxAttention, readBlockMask } from "../../kernels/softmax/index.js";
import type { AttentionContext } from "../../src/index.js";
import { antidiagonals, bestBlocks, blockMeans, maskWords, sinksAndWindow } from "./block-choices.js";
import type { HeadInputs } from "./inputs.js";
import { BLOCK_Q } from "./sampled.js";
import { submit } from "./speed.js";

/** Error against kept fraction of one way to choose blocks. */
export interface QualityCurve {
  readonly name: string;
  readonly points: readonly {
    /** Share of causal blocks. */
    readonly kept: number;
    /** Sum of |sparse - dense| over that of |dense|, all tokens and channels. */
    readonly error: number;
  }[];
}

const BLOCK_K = 32;
const THRESHOLDS = [2, 0.5, 0.1, 0.03, 0.008, 0.002, 0.0005];
/** Of the blocks that are not local. */
const FRACTIONS = [0, 0.01, 0.03, 0.08, 0.2, 0.4, 0.7];

/** SALE over its thresholds, and other choices over fractions, on the same kernel and the same blocks. */
export async function measureQuality(ctx: AttentionContext, head: HeadInputs): Promise<QualityCurve[]> {
  const { tokens, dim } = head;
  const shape = [1, tokens, 1, dim] as const;
  const inputs = {
    q: ctx.fromArray(head.q, shape),
    k: ctx.fromArray(head.k, shape),
    v: ctx.fromArray(head.v, shape),
  };
  const tensors = { ...inputs, out: ctx.empty(shape) };
  const dense = await planSoftmaxAttention(ctx, { ...inputs, causal: true });
  await submit(ctx, dense.segments, tensors);
  const expected = await ctx.read(tensors.out);
  const size = expected.reduce((sum, value) => sum + Math.abs(value), 0);
  const error = async () => {
    const out = await ctx.read(tensors.out);
    return out.reduce((sum, value, i) => sum + Math.abs(value - expected[i]!), 0) / size;
  };

  const sale: { kept: number; error: number }[] = [];
  for (const thresholds of THRESHOLDS) {
    const plan = await planSaleAttention(ctx, { ...inputs, thresholds });
    await submit(ctx, plan.segments, tensors);
    const states = await readBlockMask(ctx, plan.blockMask);
    sale.push({ kept: keptShare(states, tokens), error: await error() });
    plan.destroy();
    console.error(`${head.name}: SALE ${thresholds} ${JSON.stringify(sale.at(-1))}`);
  }
  const curves: QualityCurve[] = [{ name: "SALE", points: sale }];
  const others = { "sinks + window": sinksAndWindow, "block means": blockMeans, antidiagonals };
  for (const [name, choose] of Object.entries(others)) {
    const scores = choose(head, BLOCK_K);
    const points: { kept: number; error: number }[] = [];
    for (const fraction of FRACTIONS) {
      const words = maskWords(bestBlocks(head, scores, fraction, BLOCK_K));
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const buffer = ctx.device.createBuffer({ size: words.byteLength, usage });
      ctx.device.queue.writeBuffer(buffer, 0, words);
      const blockMask: BlockMask = {
        buffer,
        shape: [1, 1, tokens, tokens],
        blockQ: BLOCK_Q,
        blockK: BLOCK_K,
      };
      const plan = await planSoftmaxAttention(ctx, { ...inputs, causal: true, blockMask });
      await submit(ctx, plan.segments, tensors);
      points.push({ kept: keptShare(await readBlockMask(ctx, blockMask), tokens), error: await error() });
      plan.destroy();
      buffer.destroy();
    }
    curves.push({ name, points });
    console.error(`${head.name}: ${name} ${JSON.stringify(points)}`);
  }
  return curves;
}

function keptShare(states: Uint8Array, tokens: number): number {
  let causal = 0;
  for (let a = 0; a * BLOCK_Q < tokens; a++)
    causal += Math.min(Math.ceil(tokens / BLOCK_K), ((a + 1) * BLOCK_Q) / BLOCK_K);
  return states.reduce((sum, state) => sum + (state ? 1 : 0), 0) / causal;
}
