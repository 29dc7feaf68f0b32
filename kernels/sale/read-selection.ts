import type { AttentionContext } from "../../src/dispatch/context.js";
import { readWords } from "../../src/dispatch/read-back.js";
import { rowsOf } from "./memory.js";
import type { SaleShape } from "./problem.js";
import type { SelectionPlan } from "./selection.js";

/** What the selection of the last recorded run computed, row-major. */
export interface SaleSelection {
  /** [B, Hq, D] and [B, Hkv, D] means over tokens, which rows are centred by. */
  readonly qMeans: Float32Array;
  readonly kMeans: Float32Array;
  /** [B, Hq, T, ceil(D / 2)] bytes: channel 2c in the high half of byte c and 2c + 1 in the low, two's complement, -7 to 7. */
  readonly qPacked: Uint8Array;
  /** [B, Hkv, T, ceil(D / 2)] likewise. */
  readonly kPacked: Uint8Array;
  /** [B, Hq, T] and [B, Hkv, T] what 1 stands for in a row; rows of a group have the same. */
  readonly qScales: Float32Array;
  readonly kScales: Float32Array;
  /** [B, Hq, T] score of the mean query and each centred key, in units of the key's scale. */
  readonly corrections: Float32Array;
  /** [B, Hq, T] of each query row's raw scores with the centred keys of block 0 and its local blocks: the largest score; the sum
   * of e^(scale (score - largest)); and the score above which it asks for a key's block. Of no meaning for a dense head. */
  readonly maxima: Float32Array;
  readonly sums: Float32Array;
  readonly limits: Float32Array;
}

/** @throws AttentionError "disposed", "device-lost" */
export async function readSelection(
  ctx: AttentionContext,
  shape: SaleShape,
  { buffers }: SelectionPlan,
): Promise<SaleSelection> {
  const { batches, heads, kvHeads, headDim, tokens, blockK } = shape;
  const rows = rowsOf(shape);
  const [queryHeads, keyHeads] = [batches * heads, batches * kvHeads];
  const read = async (name: keyof typeof buffers): Promise<ArrayBuffer> => {
    return (await readWords(ctx, buffers[name], buffers[name].size / 4)).buffer;
  };
  const floats = async (name: keyof typeof buffers) => new Float32Array(await read(name));
  const means = await floats("means");
  const [qWords, kWords] = [new Uint8Array(await read("q_words")), new Uint8Array(await read("k_words"))];
  const [qScales, kScales] = [await floats("q_scales"), await floats("k_scales")];
  const [corrections, states] = [await floats("corrections"), await floats("states")];

  const stride = 4 * Math.ceil(headDim / 4);
  const eachMean = (first: number, count: number) =>
    Float32Array.from({ length: count * headDim }, (_, i) => {
      return means[(first + Math.floor(i / headDim)) * stride + (i % headDim)]!;
    });
  const eachRow = (count: number, value: (head: number, token: number) => number) =>
    Float32Array.from({ length: count * tokens }, (_, i) => value(Math.floor(i / tokens), i % tokens));
  const state = (part: number) => eachRow(queryHeads, (h, t) => states[4 * (h * rows + t) + part]!);
  const packed = (words: Uint8Array, count: number) => {
    const [bytes, stride] = [Math.ceil(headDim / 2), 16 * Math.ceil(headDim / 32)];
    const result = new Uint8Array(count * tokens * bytes);
    for (let row = 0; row < count * tokens; row++) {
      const from = (Math.floor(row / tokens) * rows + (row % tokens)) * stride;
      result.set(words.subarray(from, from + bytes), row * bytes);
    }
    return result;
  };
  return {
    qMeans: eachMean(0, queryHeads),
    kMeans: eachMean(queryHeads, keyHeads),
    qPacked: packed(qWords, queryHeads),
    kPacked: packed(kWords, keyHeads),
    qScales: eachRow(queryHeads, (h, t) => qScales[(h * rows) / 2 + Math.floor(t / 16) * 8 + (t % 8)]!),
    kScales: eachRow(keyHeads, (h, t) => {
      return kScales[((h * rows) / blockK + Math.floor(t / blockK)) * 4 + Math.floor((t % 8) / 2)]!;
    }),
    corrections: eachRow(queryHeads, (h, t) => corrections[h * rows + t]!),
    maxima: state(0),
    sums: state(1),
    limits: state(2),
  };
}
