// Other ways to choose key blocks, on the same blocks of 64 queries by `blockK` keys, to hold SALE against.
import { candidateBlocks, geometryOf } from "../../kernels/sale/geometry.js";
import type { HeadInputs } from "./inputs.js";

const BLOCK_Q = 64;

/** [query blocks][causal key blocks], larger is sooner kept. */
export type BlockScores = readonly Float64Array[];

function causalScores(
  head: HeadInputs,
  blockK: number,
  score: (a: number, b: number) => number,
): BlockScores {
  return Array.from({ length: Math.ceil(head.tokens / BLOCK_Q) }, (_, a) => {
    const blocks = Math.min(Math.ceil(head.tokens / blockK), ((a + 1) * BLOCK_Q) / blockK);
    return Float64Array.from({ length: blocks }, (_unused, b) => score(a, b));
  });
}

/** What is nearest: a window that widens. */
export function sinksAndWindow(head: HeadInputs, blockK: number): BlockScores {
  return causalScores(head, blockK, (_, b) => b);
}

/** Score of the mean query of a block and the mean key of a block, as MInference and SpargeAttn have it. */
export function blockMeans(head: HeadInputs, blockK: number): BlockScores {
  const queries = means(head.q, head, BLOCK_Q);
  const keys = means(head.k, head, blockK);
  return causalScores(head, blockK, (a, b) => dot(queries, a * head.dim, keys, b * head.dim, head.dim));
}

const STRIDE = 8;

/** Sums of exp over antidiagonals eight apart of each block's scores (XAttention, arXiv 2503.16428). */
export function antidiagonals({ q, k, dim, ...head }: HeadInputs, blockK: number): BlockScores {
  const scale = 1 / (Math.sqrt(dim) * STRIDE);
  return causalScores({ q, k, dim, ...head }, blockK, (a, b) => {
    let sum = 0;
    for (let i = a * BLOCK_Q; i < Math.min((a + 1) * BLOCK_Q, head.tokens - STRIDE + 1); i += STRIDE)
      for (let j = b * blockK; j < Math.min((b + 1) * blockK, i + 1, head.tokens - STRIDE + 1); j += STRIDE) {
        let score = 0;
        for (let n = 0; n < STRIDE; n++) score += dot(q, (i + n) * dim, k, (j + STRIDE - 1 - n) * dim, dim);
        sum += Math.exp(Math.min(scale * score, 80));
      }
    return sum;
  });
}

function means(x: Float32Array, { tokens, dim }: HeadInputs, size: number): Float64Array {
  const sums = new Float64Array(Math.ceil(tokens / size) * dim);
  for (let t = 0; t < tokens; t++)
    for (let c = 0; c < dim; c++) sums[Math.floor(t / size) * dim + c]! += x[t * dim + c]! / size;
  return sums;
}

function dot(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, dim: number): number {
  let sum = 0;
  for (let c = 0; c < dim; c++) sum += a[i + c]! * b[j + c]!;
  return sum;
}

/** Block 0 and SALE's local blocks, which every choice keeps, and of the others the best `fraction` of each row, ascending. */
export function bestBlocks(
  head: HeadInputs,
  scores: BlockScores,
  fraction: number,
  blockK: number,
): number[][] {
  const geometry = geometryOf({ tokens: head.tokens, blockK, segment: 128, localWindow: 128 });
  return scores.map((row, a) => {
    const count = candidateBlocks(geometry, a);
    const candidates = Array.from({ length: count }, (_, n) => n + 1).sort((x, y) => row[y]! - row[x]!);
    const local = [...row.keys()].filter((b) => b === 0 || b > count);
    return [...local, ...candidates.slice(0, Math.round(fraction * count))].sort((x, y) => x - y);
  });
}

/** The words of a `BlockMask`. */
export function maskWords(lists: readonly (readonly number[])[]): Uint32Array<ArrayBuffer> {
  const words: number[] = [];
  let first = 2 * lists.length;
  for (const list of lists) {
    words.push(first, list.length);
    first += list.length;
  }
  return Uint32Array.from([...words, ...lists.flatMap((list) => list.map((b) => 2 * b))]);
}
