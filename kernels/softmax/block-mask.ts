import { checkLength, checkUsage, fail, isBuffer } from "../../src/dispatch/check.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { MaskMod } from "./mod-types.js";

/**
 * Which blocks of keys each block of query rows visits: a compressed list in a GPU buffer, made by `createBlockMask`, by SALE, or
 * by the application itself. Its buffer belongs to whoever made it.
 *
 * Words of the buffer (u32): for row r = (b heads + h) ceil(Tq / blockQ) + block of query rows, word 2r says where the row's
 * entries begin, in words from the buffer's start, and word 2r + 1 how many there are. An entry is 2 * key block + partial, and
 * entries ascend by key block; partial blocks are those in which `maskMod` has to be asked.
 */
export interface BlockMask {
  readonly buffer: GPUBuffer;
  /** [B or 1, Hq or 1, Tq, Tk]: 1 where one list serves all. */
  readonly shape: Shape4;
  /** Query rows of a block: a multiple of 32. */
  readonly blockQ: number;
  /** Keys of a block: a multiple of 16. */
  readonly blockK: number;
  /**
   * [B or 1, Hq or 1, ceil(Tq / blockQ)] blocks that each row visits, where they are known without asking the GPU. Plans then
   * count what is visited; without it they count every block.
   */
  readonly counts?: ArrayLike<number>;
  /** What partial blocks ask, where the problem has no `maskMod` of its own. Default nothing: partial blocks are seen whole. */
  readonly maskMod?: MaskMod;
  /** The position of query row 0 that the mask was made for; the problem must have the same. Default any. */
  readonly queryOffset?: number;
}

/** Rows of blocks, [batches, heads, blocks of query rows]. */
export function blockGrid({
  shape: [batches, heads, tokensQ],
  blockQ,
}: Omit<BlockMask, "buffer">): [number, number, number] {
  return [batches, heads, Math.ceil(tokensQ / blockQ)];
}

/**
 * @param queryOffset of the problem; undefined where it is found on the GPU
 * @throws AttentionError "shape" for a mask made for another problem, "unsupported" for a buffer that cannot be bound
 */
export function checkBlockMask(
  mask: BlockMask,
  [batches, heads, tokensQ, tokensK]: Shape4,
  queryOffset: number | undefined,
): void {
  const { buffer, shape, blockQ, blockK, counts } = mask ?? {};
  if (!isBuffer(buffer) || !Array.isArray(shape) || shape.length !== 4)
    fail("shape", "blockMask", "{ buffer, shape, blockQ, blockK }", mask, "Make it with createBlockMask.");
  const right = [
    shape[0] === 1 || shape[0] === batches,
    shape[1] === 1 || shape[1] === heads,
    shape[2] === tokensQ,
    shape[3] === tokensK,
  ].every(Boolean);
  if (!right)
    fail(
      "shape",
      "blockMask.shape",
      `[1 or ${batches}, 1 or ${heads}, ${tokensQ}, ${tokensK}]`,
      `[${shape}]`,
      "Make the mask for this problem's lengths: createBlockMask(ctx, maskMod, { shape: [B, H, Tq, Tk] }).",
    );
  if (mask.queryOffset !== undefined && mask.queryOffset !== queryOffset)
    fail(
      "shape",
      "blockMask.queryOffset",
      queryOffset === undefined
        ? 'none: with queryOffset "end" positions are found on the GPU'
        : `${queryOffset}, as in the problem`,
      mask.queryOffset,
      "Make the mask with createBlockMask(ctx, maskMod, { shape, queryOffset }) for the positions of this problem.",
    );
  checkBlockSize("blockMask.blockQ", blockQ, 32);
  checkBlockSize("blockMask.blockK", blockK, 16);
  checkUsage("blockMask.buffer usage", buffer, "STORAGE");
  const [b, h, rows] = blockGrid(mask);
  const bytes = 8 * b * h * rows;
  if (buffer.size < bytes)
    fail(
      "shape",
      "blockMask.buffer",
      `at least ${bytes} bytes for ${b * h * rows} rows of blocks`,
      `${buffer.size} bytes`,
      "Make the buffer larger.",
    );
  if (counts !== undefined)
    checkLength("blockMask.counts", counts, b * h * rows, "one for each row of blocks");
}

export function checkBlockSize(name: string, size: unknown, multiple: number): void {
  if (
    !Number.isInteger(size) ||
    (size as number) < multiple ||
    (size as number) > 2 ** 20 ||
    (size as number) % multiple !== 0
  )
    fail("shape", name, `a multiple of ${multiple}`, size, "Tiles of the kernels have to divide a block.");
}
