import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import { BLOCK_Q, candidateBlocks, listEntries } from "./geometry.js";
import type { SaleShape } from "./problem.js";

/** Tokens that a thread of `column_sums.wgsl` adds up: CHUNK there. */
export const CHUNK = 256;

/** What the passes of the selection hand to each other. */
export type Memory = Readonly<Record<keyof ReturnType<typeof memoryBytes>, BindingSource>>;

/** Rows of a head: tokens in whole query blocks. */
export function rowsOf({ queryBlocks }: SaleShape): number {
  return queryBlocks * BLOCK_Q;
}

/** Words of 32 blocks for the hits of a query block: blocks 0 to the last candidate. */
export function hitWords(shape: SaleShape): number {
  return Math.ceil((candidateBlocks(shape, shape.queryBlocks - 1) + 1) / 32);
}

/**
 * Bytes by what they hold.
 *
 * @throws AttentionError "limit" when something is more than one binding holds
 */
export function memoryBytes(shape: SaleShape, { limits }: Capabilities) {
  const { batches, heads, kvHeads, headDim, tokens, blockK, queryBlocks } = shape;
  const [queryHeads, keyHeads] = [batches * heads, batches * kvHeads];
  const rows = rowsOf(shape);
  const dim4 = Math.ceil(headDim / 4);
  // Rows of 4-bit channels start at multiples of four words: WORD_STRIDE of `params.wgsl`.
  const words = 4 * Math.ceil(headDim / 32);
  const bytes = {
    sums: 16 * Math.max(queryHeads, keyHeads) * Math.ceil(tokens / CHUNK) * dim4,
    hits: 4 * queryHeads * queryBlocks * hitWords(shape),
    means: 16 * (queryHeads + keyHeads) * dim4,
    q_words: 4 * queryHeads * rows * words,
    q_scales: 4 * queryHeads * (rows / 2),
    k_words: 4 * keyHeads * rows * words,
    k_scales: 4 * keyHeads * (rows / blockK) * 4,
    corrections: 4 * queryHeads * rows,
    states: 16 * queryHeads * rows,
    lists: 4 * queryHeads * (2 * queryBlocks + listEntries(shape)),
  };
  const limit = limits.maxStorageBufferBindingSize;
  const [name, most] = Object.entries(bytes).reduce((a, b) => (b[1] > a[1] ? b : a));
  if (most > limit) {
    fail(
      "limit",
      `selection memory (${name})`,
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${most} bytes`,
      "Request the device with AttentionContext.requirements(adapter), or split heads or batch over several calls.",
    );
  }
  return bytes;
}
