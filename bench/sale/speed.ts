import { calibrateSale, planSaleAttention, type SalePlan } from "../../kernels/sale/index.js";
import { planSoftmaxAttention, readBlockMask } from "../../kernels/softmax/index.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { AttentionContext } from "../../src/index.js";
import { median } from "../statistics.js";
import type { HeadInputs } from "./inputs.js";
import { processorTime } from "./processor-time.js";
import { dotRate } from "./rates.js";
import { BLOCK_Q, causalPairs, rowQuality, sampledBlocks } from "./sampled.js";

export interface SpeedRow {
  readonly input: string;
  readonly tokens: number;
  readonly dim: number;
  readonly threshold: number;
  readonly errorBound: number;
  /** Share of causal blocks, and of causal (query, key) pairs, that is visited. */
  readonly keptBlocks: number;
  readonly keptPairs: number;
  /** Of sampled rows: recall of the largest hundredth's weight, error and size of the output (L1 a token). */
  readonly recall: number;
  readonly error: number;
  readonly size: number;
  readonly sampledRows: number;
  /** Largest difference from float64 attention over the same blocks, relative to the largest output. */
  readonly rounding: number;
  /** Of the selection's cost to dense attention's, four 8-bit products counted as one. */
  readonly costShare: number;
  /** Multiply-adds a second of the yardsticks, and their quotient. */
  readonly int8Rate: number;
  readonly f32Rate: number;
  readonly rateRatio: number;
  /** Milliseconds of `processorTime`, medians of the rounds; dense is the sample's by its share of the pairs. */
  readonly denseMs: number;
  readonly selectionMs: number;
  readonly attentionMs: number;
  readonly denseSample: string;
  /** selection / dense, attention / (kept blocks x dense), dense / (selection + attention): medians of each round's. */
  readonly selectionShare: number;
  readonly attentionOverKept: number;
  readonly speedup: number;
}

/** Error bound as a share of the mean size of a value, L1. */
const ERROR_SHARE = 0.05;

export async function measureSpeed(
  ctx: AttentionContext,
  head: HeadInputs,
  sample: HeadInputs,
  { each, rounds, start }: { readonly each: number; readonly rounds: number; readonly start?: number },
): Promise<SpeedRow> {
  const log = (text: string) => console.error(`${head.name}, ${head.tokens} tokens: ${text}`);
  const errorBound = ERROR_SHARE * meanSize(head.v, head.dim);
  const uploaded = upload(ctx, sample);
  const calibration = await calibrateSale(ctx, [uploaded], {
    errorBound,
    ...(start !== undefined && { start }),
  });
  const [threshold] = calibration.layers[0]!.options.thresholds as [number];
  log(
    `calibrated on ${sample.tokens} tokens: threshold ${threshold}, kept ${calibration.layers[0]!.keptFraction}`,
  );

  const tensors = { ...upload(ctx, head), out: ctx.empty([1, head.tokens, 1, head.dim]) };
  const plan = await planSaleAttention(ctx, { ...tensors, thresholds: threshold });
  await submit(ctx, plan.segments, tensors);
  const quality = await checkQuality(ctx, head, plan, await ctx.read(tensors.out));
  log(
    `kept ${quality.keptBlocks.toFixed(3)}, recall ${quality.recall.toFixed(4)}, rounding ${quality.rounding}`,
  );
  if (!(quality.rounding < 1e-5)) throw new Error(`outputs differ by ${quality.rounding}: nothing is timed`);

  const blocks = sampledBlocks(head.tokens, each);
  const dense = await planSoftmaxAttention(ctx, {
    ...tensors,
    causal: true,
    ...(each > 1 && { queryRows: rowList(ctx, head.tokens, blocks) }),
  });
  checkSameKernel(dense.passes, plan.attention.passes);
  ctx.device.queue.writeBuffer(
    tensors.out.buffer,
    0,
    new Float32Array(head.tokens * head.dim).fill(Number.NaN),
  );
  await submit(ctx, [dense], tensors);
  checkDense(head, blocks, await ctx.read(tensors.out));
  const share = each > 1 ? causalPairs(head.tokens, blocks) / causalPairs(head.tokens) : 1;
  const denseFlops = 4 * head.dim * causalPairs(head.tokens);
  const yardsticks = { int8: await dotRate(ctx, "int8"), f32: await dotRate(ctx, "f32") };
  const times: Record<"dense" | "selection" | "attention" | "int8" | "f32", number[]> = {
    dense: [],
    selection: [],
    attention: [],
    int8: [],
    f32: [],
  };
  for (let round = 0; round <= rounds; round++) {
    const one = {
      int8: await yardsticks.int8.run(),
      f32: await yardsticks.f32.run(),
      // In one go, as there is no page to keep responsive: a submit for each segment would time submits where little is visited.
      dense: (await submit(ctx, [dense], tensors)) / share,
      selection: await submit(ctx, [plan.selection], tensors),
      attention: await submit(ctx, [plan.attention], tensors),
    };
    log(`round ${round}: ${JSON.stringify(one)}`);
    // The first warms up.
    if (round > 0) for (const [name, ms] of Object.entries(one)) times[name as keyof typeof times].push(ms);
  }
  const ratios = (of: (round: number) => number) => median(times.dense.map((_, round) => of(round)));
  const rate = (kind: "int8" | "f32") => (yardsticks[kind].multiplyAdds / median(times[kind])) * 1000;
  return {
    input: head.name,
    tokens: head.tokens,
    dim: head.dim,
    threshold,
    errorBound,
    ...quality,
    costShare: plan.selection.cost.flops / denseFlops,
    int8Rate: rate("int8"),
    f32Rate: rate("f32"),
    rateRatio: ratios((n) => times.f32[n]! / times.int8[n]!),
    denseMs: median(times.dense),
    selectionMs: median(times.selection),
    attentionMs: median(times.attention),
    denseSample: each > 1 ? `${blocks.length} of ${Math.ceil(head.tokens / BLOCK_Q)} query blocks` : "all",
    selectionShare: ratios((n) => times.selection[n]! / times.dense[n]!),
    attentionOverKept: ratios((n) => times.attention[n]! / (quality.keptBlocks * times.dense[n]!)),
    speedup: ratios((n) => times.dense[n]! / (times.selection[n]! + times.attention[n]!)),
  };
}

/** Dense attention is timed on the kernel, with the tile, that the block mask runs on. */
function checkSameKernel(dense: readonly Pass[], sparse: readonly Pass[]): void {
  const tile = ([pass]: readonly Pass[]) => {
    const { THREADS, ROWS, KEYS, COLUMNS } = pass!.constants;
    return JSON.stringify([pass!.kernel.name, THREADS, ROWS, KEYS, COLUMNS]);
  };
  if (tile(dense) !== tile(sparse))
    throw new Error(`dense ${tile(dense)}, with a block mask ${tile(sparse)}`);
}

/** Rows of sampled blocks are right, others were left as they were. */
function checkDense(head: HeadInputs, blocks: readonly number[], out: Float32Array): void {
  const { dim, tokens } = head;
  const row = (n: number) => out.subarray(n * dim, (n + 1) * dim);
  const sampled = new Set(blocks);
  const largest = out.reduce(
    (most, value) => (Number.isNaN(value) ? most : Math.max(most, Math.abs(value))),
    0,
  );
  for (const a of [blocks[0]!, blocks[blocks.length >> 1]!, blocks.at(-1)!]) {
    const token = Math.min(a * BLOCK_Q + 41, tokens - 1);
    const { rounding } = rowQuality(head, token, BLOCK_Q, () => true, row(token));
    if (!(rounding / largest < 1e-5))
      throw new Error(`dense attention is off by ${rounding / largest} in row ${token}`);
  }
  for (let token = 0; token < tokens; token++) {
    const computed = sampled.has(Math.floor(token / BLOCK_Q));
    if (row(token).some((value) => Number.isNaN(value) === computed))
      throw new Error(
        `dense attention: row ${token} ${computed ? "was not computed" : "was computed though not sampled"}`,
      );
  }
}

/** Mean over rows of the sum over channels of |value|. */
function meanSize(data: Float32Array, dim: number): number {
  return (data.reduce((sum, value) => sum + Math.abs(value), 0) * dim) / data.length;
}

function upload(ctx: AttentionContext, { tokens, dim, q, k, v }: HeadInputs) {
  const shape = [1, tokens, 1, dim] as const;
  return { q: ctx.fromArray(q, shape), k: ctx.fromArray(k, shape), v: ctx.fromArray(v, shape) };
}

/** Submits one after another; `processorTime` until all are done. */
export function submit<Tensors>(
  ctx: AttentionContext,
  segments: readonly { record(encoder: GPUCommandEncoder, tensors: Tensors): void }[],
  tensors: Tensors,
): Promise<number> {
  return processorTime(async () => {
    for (const { record } of segments) {
      const encoder = ctx.device.createCommandEncoder();
      record(encoder, tensors);
      ctx.device.queue.submit([encoder.finish()]);
    }
    await ctx.device.queue.onSubmittedWorkDone();
  });
}

function rowList(ctx: AttentionContext, tokens: number, blocks: readonly number[]): GPUBuffer {
  const rows = blocks.flatMap((a) => Array.from({ length: BLOCK_Q }, (_, r) => a * BLOCK_Q + r));
  const inside = rows.filter((row) => row < tokens);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const buffer = ctx.device.createBuffer({ size: 4 * (1 + tokens), usage });
  ctx.device.queue.writeBuffer(buffer, 0, Uint32Array.from([inside.length, ...inside]));
  return buffer;
}

const CHECKED_ROWS = 96;

/** Recall, error and rounding on rows spread over the whole sequence. */
async function checkQuality(
  ctx: AttentionContext,
  head: HeadInputs,
  plan: SalePlan,
  out: Float32Array,
): Promise<
  Pick<SpeedRow, "keptBlocks" | "keptPairs" | "recall" | "error" | "size" | "sampledRows" | "rounding">
> {
  const { blockK } = plan.blockMask;
  const mask = await readBlockMask(ctx, plan.blockMask);
  const keyBlocks = Math.ceil(head.tokens / blockK);
  const kept = (a: number) => (block: number) => mask[a * keyBlocks + block] !== 0;
  let [pairs, blocks, causal] = [0, 0, 0];
  for (let row = 0; row < head.tokens; row++) {
    const a = Math.floor(row / BLOCK_Q);
    for (let block = 0; block * blockK <= row; block++)
      if (kept(a)(block)) pairs += Math.min(blockK, row + 1 - block * blockK);
  }
  for (let a = 0; a * BLOCK_Q < head.tokens; a++) {
    const count = Math.min(keyBlocks, ((a + 1) * BLOCK_Q) / blockK);
    causal += count;
    for (let block = 0; block < count; block++) if (kept(a)(block)) blocks++;
  }
  const first = Math.min(head.tokens - 1, 1024);
  const rows = Array.from({ length: CHECKED_ROWS }, (_, n) =>
    Math.round(first + (n * (head.tokens - 1 - first)) / (CHECKED_ROWS - 1)),
  );
  const results = rows.map((row) =>
    rowQuality(
      head,
      row,
      blockK,
      kept(Math.floor(row / BLOCK_Q)),
      out.subarray(row * head.dim, (row + 1) * head.dim),
    ),
  );
  const sum = (of: (result: (typeof results)[number]) => number) => results.reduce((s, r) => s + of(r), 0);
  const largest = out.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return {
    keptBlocks: blocks / causal,
    keptPairs: pairs / causalPairs(head.tokens),
    recall: sum(({ recalled }) => recalled) / sum(({ top }) => top),
    error: sum(({ error }) => error) / rows.length,
    size: sum(({ size }) => size) / rows.length,
    sampledRows: rows.length,
    rounding: results.reduce((most, { rounding }) => Math.max(most, rounding), 0) / largest,
  };
}
