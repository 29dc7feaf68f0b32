// Exact attention of a few query blocks in float64, for what is checked and held against.
import type { HeadInputs } from "./inputs.js";

export const BLOCK_Q = 64;

/** Every `each`-th query block from the middle of the first run on, so that their causal pairs are a fair share. */
export function sampledBlocks(tokens: number, each: number): number[] {
  const blocks = Math.ceil(tokens / BLOCK_Q);
  return Array.from({ length: Math.floor(blocks / each) }, (_, n) => n * each + Math.floor(each / 2));
}

/** (query, key) pairs of causal rows. */
export function causalPairs(tokens: number, blocks?: readonly number[]): number {
  if (!blocks) return (tokens * (tokens + 1)) / 2;
  return blocks.reduce((sum, a) => {
    const rows = Math.min(BLOCK_Q, tokens - a * BLOCK_Q);
    return sum + rows * (a * BLOCK_Q + 1) + (rows * (rows - 1)) / 2;
  }, 0);
}

export interface RowQuality {
  /** Sum over channels of |sparse - dense|. */
  readonly error: number;
  /** Sum over channels of |dense|. */
  readonly size: number;
  /** Weight of the largest hundredth of the row's weights, and the part of it whose block is kept. */
  readonly top: number;
  readonly recalled: number;
  /** Largest difference of the computed output and float64 attention over the kept blocks. */
  readonly rounding: number;
}

/**
 * What dropping blocks does to one row.
 *
 * @param kept by key block
 * @param computed the row's output, [dim]
 */
export function rowQuality(
  { q, k, v, dim }: HeadInputs,
  row: number,
  blockK: number,
  kept: (block: number) => boolean,
  computed: ArrayLike<number>,
): RowQuality {
  const scores = new Float64Array(row + 1);
  for (let j = 0; j <= row; j++) {
    let sum = 0;
    for (let c = 0; c < dim; c++) sum += q[row * dim + c]! * k[j * dim + c]!;
    scores[j] = sum / Math.sqrt(dim);
  }
  const max = scores.reduce((a, b) => Math.max(a, b));
  const weights = scores.map((score) => Math.exp(score - max));
  const [dense, sparse] = [new Float64Array(dim), new Float64Array(dim)];
  let [all, some] = [0, 0];
  for (let j = 0; j <= row; j++) {
    const [weight, visited] = [weights[j]!, kept(Math.floor(j / blockK))];
    all += weight;
    if (visited) some += weight;
    for (let c = 0; c < dim; c++) {
      dense[c]! += weight * v[j * dim + c]!;
      if (visited) sparse[c]! += weight * v[j * dim + c]!;
    }
  }
  const count = Math.ceil((row + 1) / 100);
  const least = weights.toSorted((a, b) => b - a)[count - 1]!;
  let [top, recalled] = [0, 0];
  for (let j = 0; j <= row; j++) {
    if (weights[j]! < least) continue;
    top += weights[j]! / all;
    if (kept(Math.floor(j / blockK))) recalled += weights[j]! / all;
  }
  let [error, size, rounding] = [0, 0, 0];
  for (let c = 0; c < dim; c++) {
    error += Math.abs(sparse[c]! / some - dense[c]! / all);
    size += Math.abs(dense[c]! / all);
    rounding = Math.max(rounding, Math.abs(sparse[c]! / some - computed[c]!));
  }
  return { error, size, top, recalled, rounding };
}
