import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import { fail, isBuffer } from "../../src/dispatch/check.js";
import { CompiledPasses } from "../../src/dispatch/compiled-passes.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { AttentionError } from "../../src/dispatch/errors.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { readWords } from "../../src/dispatch/read-back.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import entries from "./block_entries.wgsl";
import occupancy from "./block_occupancy.wgsl";
import { type BlockMask, blockGrid, checkBlockSize } from "./block-mask.js";
import { loadMods } from "./load-mods.js";
import type { ModSlots } from "./mod-slots.js";
import type { MaskMod } from "./mod-types.js";

export interface BlockMaskOptions {
  /** [B, Hq, Tq, Tk] of the problem; 1 for B or Hq where the mask does not depend on them, so that one list serves all. */
  readonly shape: Shape4;
  /** Query rows of a block: a multiple of 32. Default 64. */
  readonly blockQ?: number;
  /** Keys of a block: a multiple of 16. Default 64. */
  readonly blockK?: number;
  /** Position of query row 0 among the keys, as in the problem. Default Tk - Tq. */
  readonly queryOffset?: number;
}

/** A block mask whose lists are known on the host too. `buffer` is the caller's to destroy. */
export interface CreatedBlockMask extends BlockMask {
  readonly counts: Uint32Array;
  readonly maskMod: MaskMod;
  readonly queryOffset: number;
  /** Share of all blocks that is visited. */
  readonly density: number;
}

const MOST_PAIRS = 2 ** 20;
const THREADS = 64;
/** Operations that asking a mask once may take; a guess, mods may be of any length. */
const ASK = 32;

/**
 * Evaluates which blocks a mask leaves, on the GPU, into a compressed list (full blocks, partial blocks): attention then visits only
 * these, and asks the mask only in partial ones. Submits and waits.
 *
 * Takes 4 bytes a block while it works; the result takes 8 bytes a row of blocks and 4 a visited block.
 *
 * @throws AttentionError "shape", "unsupported", "compile" for the mask's WGSL, "limit", "disposed", "device-lost"
 */
export async function createBlockMask(
  ctx: AttentionContext,
  maskMod: MaskMod,
  options: BlockMaskOptions,
): Promise<CreatedBlockMask> {
  checkOptions("createBlockMask", options, ["shape", "blockQ", "blockK", "queryOffset"]);
  const { shape, blockQ = 64, blockK = 64 } = options;
  checkShape(shape);
  checkBlockSize("blockQ", blockQ, 32);
  checkBlockSize("blockK", blockK, 16);
  const { queryOffset = shape[3] - shape[2] } = options;
  if (!Number.isInteger(queryOffset) || Math.abs(queryOffset) + shape[2] >= 2 ** 30)
    fail(
      "shape",
      "queryOffset",
      `an integer within ${2 ** 30}`,
      queryOffset,
      "It is the position of query row 0.",
    );
  if (blockQ * blockK > MOST_PAIRS)
    fail(
      "shape",
      "blockQ * blockK",
      `at most ${MOST_PAIRS}`,
      blockQ * blockK,
      "A thread asks the mask for a whole block.",
    );
  const mods = await loadMods({ maskMod });
  if (!mods) fail("shape", "createBlockMask maskMod", "a mask", maskMod, "See MaskMod.");
  await ctx.assertAlive();

  const grid = blockGrid({ shape, blockQ, blockK });
  const [rows, keyBlocks] = [grid[0] * grid[1] * grid[2], Math.ceil(shape[3] / blockK)];
  const created: GPUBuffer[] = [];
  const temporary = (words: number, what: string): GPUBuffer => {
    const buffer = allocate(ctx, words, what);
    created.push(buffer);
    return buffer;
  };
  try {
    const states = temporary(rows * keyBlocks, "states of all blocks");
    const counted = temporary(2 * rows, "counts of rows of blocks");
    const size = { rows, key_blocks: keyBlocks };
    await run(ctx, occupancyPasses(ctx, states, mods, { shape, blockQ, blockK, queryOffset }), mods);
    await run(ctx, [entryPass(ctx, states, counted, size, false)]);
    const header = await readWords(ctx, counted, 2 * rows);
    const counts = new Uint32Array(rows);
    let next = 2 * rows;
    for (let row = 0; row < rows; row++) {
      counts[row] = header[2 * row + 1]!;
      header[2 * row] = next;
      next += counts[row]!;
    }
    const buffer = allocate(ctx, next, "list of blocks");
    try {
      ctx.device.queue.writeBuffer(buffer, 0, header);
      await run(ctx, [entryPass(ctx, states, buffer, size, true)]);
    } catch (error) {
      buffer.destroy();
      throw error;
    }
    const density = rows === 0 ? 0 : (next - 2 * rows) / (rows * keyBlocks);
    return { buffer, shape, blockQ, blockK, counts, density, maskMod, queryOffset };
  } finally {
    for (const buffer of created) buffer.destroy();
  }
}

/**
 * What a block mask says of each block, for drawing or checking. Submits and waits.
 *
 * @returns [B, Hq, ceil(Tq / blockQ), ceil(Tk / blockK)] as in the mask's shape: 0 not visited, 1 partial, 2 full
 * @throws AttentionError "unsupported" for a buffer without COPY_SRC usage, "disposed", "device-lost"
 */
export async function readBlockMask(ctx: AttentionContext, mask: BlockMask): Promise<Uint8Array> {
  await ctx.assertAlive();
  if (!isBuffer(mask?.buffer))
    fail("shape", "readBlockMask", "a block mask", mask, "Make one with createBlockMask.");
  const words = await readWords(ctx, mask.buffer, Math.floor(mask.buffer.size / 4));
  const [batches, heads, rowBlocks] = blockGrid(mask);
  const keyBlocks = Math.ceil(mask.shape[3] / mask.blockK);
  const rows = batches * heads * rowBlocks;
  const states = new Uint8Array(rows * keyBlocks);
  for (let row = 0; row < rows; row++) {
    for (const entry of words.subarray(words[2 * row]!, words[2 * row]! + words[2 * row + 1]!))
      states[row * keyBlocks + (entry >> 1)] = entry & 1 ? 1 : 2;
  }
  return states;
}

function checkShape(shape: Shape4): void {
  const right =
    Array.isArray(shape) && shape.length === 4 && shape.every((size) => Number.isInteger(size) && size > 0);
  if (!right || shape.reduce((product, size) => product * size, 1) > 2 ** 52)
    fail(
      "shape",
      "createBlockMask shape",
      "[B, Hq, Tq, Tk]",
      String(shape),
      "Give 1 for B or Hq where all share the mask.",
    );
}

function allocate(ctx: AttentionContext, words: number, what: string): GPUBuffer {
  const size = 4 * Math.max(words, 1);
  const limit = Math.min(
    ctx.capabilities.limits.maxStorageBufferBindingSize,
    ctx.capabilities.limits.maxBufferSize,
  );
  if (size > limit)
    throw new AttentionError("limit", {
      subject: `block mask, ${what}`,
      expected: `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      got: `${size} bytes`,
      fix: "Take larger blocks, or share the mask between batch entries and heads.",
    });
  const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
  return ctx.device.createBuffer({ label: `webgpu-attention block mask, ${what}`, size, usage });
}

function occupancyPasses(
  ctx: AttentionContext,
  states: GPUBuffer,
  mods: ModSlots,
  { shape, blockQ, blockK, queryOffset }: Required<BlockMaskOptions>,
): Pass[] {
  const { capabilities } = ctx;
  const [batches, heads, tokensQ, tokensK] = shape;
  const blocks = batches * heads * Math.ceil(tokensQ / blockQ) * Math.ceil(tokensK / blockK);
  const work = THREADS * blockQ * blockK * ASK;
  const groups = Math.ceil(blocks / THREADS);
  const runs = cutWorkgroups([{ work, flops: work }], groups, dispatchFlops(capabilities, ctx.maxDispatchMs));
  const pass = {
    name: "softmax/block_occupancy",
    kernel: occupancy,
    variant: "base",
    constants: { BLOCK_Q: blockQ, BLOCK_K: blockK },
    slots: mods.slots,
    slotBindings: mods.slotBindings,
    bindings: { states: { buffer: states }, ...mods.bindings },
  };
  const params = { tokens_q: tokensQ, tokens_k: tokensK, batches, heads, query_offset: queryOffset };
  const uniforms = (run: { first: number; count: number }) => ({
    params: { ...params, first_group: run.first, groups: run.count },
  });
  return runPasses(pass, uniforms, capabilities, runs, 4 * blocks);
}

function entryPass(
  ctx: AttentionContext,
  states: GPUBuffer,
  list: GPUBuffer,
  size: { readonly rows: number; readonly key_blocks: number },
  write: boolean,
): Pass {
  const { maxComputeWorkgroupsPerDimension } = ctx.capabilities.limits;
  return {
    name: "softmax/block_entries",
    kernel: entries,
    variant: "base",
    constants: { LIST: write },
    workgroups: spreadWorkgroups(Math.ceil(size.rows / THREADS), maxComputeWorkgroupsPerDimension),
    uniforms: { params: size },
    bindings: { states: { buffer: states }, block_list: { buffer: list } },
    cost: { flops: 0, bytes: 4 * size.rows * size.key_blocks },
  };
}

/** Submits each pass by itself: a mask over a long sequence takes several of the longest dispatches. */
async function run(ctx: AttentionContext, passes: readonly Pass[], mods?: ModSlots): Promise<void> {
  const compiled = await CompiledPasses.compile(ctx, passes, mods?.tables);
  try {
    for (let n = 0; n < passes.length; n++)
      await ctx.submitChecked((encoder) => compiled.encode(encoder, {}, { range: { from: n, to: n + 1 } }));
  } finally {
    compiled.destroy();
  }
}
