import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** A dense row-major tensor [batch, tokens, heads, dim]. */
export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape4;
}

export interface SaleReferenceInputs {
  /** [B, T, Hq, D] */
  readonly q: DenseTensor;
  /** [B, T, Hkv, D]; query head h reads head floor(h / (Hq / Hkv)). */
  readonly k: DenseTensor;
  /** [B, T, Hkv, Dv] */
  readonly v: DenseTensor;
  /** [Hq] */
  readonly thresholds: ArrayLike<number>;
  readonly blockK: number;
  readonly segment: number;
  readonly localWindow: number;
  readonly scale: number;
}

/** Rows of one head in 4 bits. */
export interface Quantised {
  readonly mean: Float64Array;
  /** [T, D] from -7 to 7 */
  readonly integers: Int8Array;
  /** [T] scale of each row; rows of a group have the same. */
  readonly scales: Float64Array;
  /** [T, D] the centred rows. */
  readonly centred: Float64Array;
}

/** What one query head of one batch entry comes to. */
export interface SaleHead {
  readonly q: Quantised;
  readonly k: Quantised;
  /** [T] score of the mean query and each centred key over the key's scale. */
  readonly correction: Float64Array;
  /** [T] maximum and sum over block 0 and the local blocks, all blocks of a dense head, in raw scores. */
  readonly max: Float64Array;
  readonly sum: Float64Array;
  /** [T] raw score above which a row asks for a key's block. */
  readonly threshold: Float64Array;
  /** [query blocks, key blocks] 1 = kept */
  readonly mask: Uint8Array;
  /** [query blocks, key blocks] 1 = candidate */
  readonly selectable: Uint8Array;
  /** [T, Dv] */
  readonly out: Float64Array;
}

export const BLOCK_Q = 64;

/**
 * SALE in float64 straight from its equations (arXiv 2505.24179; README.md), head by head, without regard to cost.
 * The specification of this folder's kernels; never used to compute.
 *
 * @returns a head for each [B, Hq], row-major
 */
export function saleReference(inputs: SaleReferenceInputs): SaleHead[] {
  const { q, k, v } = inputs;
  const [batches, , heads] = q.shape;
  const group = heads / k.shape[2];
  return Array.from({ length: batches * heads }, (_, index) => {
    const [b, h] = [Math.floor(index / heads), index % heads];
    const kvHead = Math.floor(h / group);
    const rows = { q: rowsOf(q, b, h), k: rowsOf(k, b, kvHead), v: rowsOf(v, b, kvHead) };
    return saleHead(rows, inputs.thresholds[h]!, inputs);
  });
}

interface HeadRows {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
}

function saleHead(rows: HeadRows, tau: number, inputs: SaleReferenceInputs): SaleHead {
  const { blockK, segment, localWindow, scale } = inputs;
  const [, tokens, , dim] = inputs.q.shape;
  const q = quantise(rows.q, tokens, dim, (i) => Math.floor(i / 16) * 8 + (i % 8));
  const k = quantise(rows.k, tokens, dim, (j) => Math.floor(j / blockK) * 4 + Math.floor((j % 8) / 2));
  const correction = Float64Array.from({ length: tokens }, (_, j) => {
    const score = dot(q.mean, 0, k.centred, j * dim, dim);
    return k.scales[j] === 0 ? 0 : score / k.scales[j]!;
  });

  const [queryBlocks, keyBlocks] = [Math.ceil(tokens / BLOCK_Q), Math.ceil(tokens / blockK)];
  const [max, sum, threshold] = [0, 1, 2].map(() => new Float64Array(tokens)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const mask = new Uint8Array(queryBlocks * keyBlocks);
  const selectable = new Uint8Array(queryBlocks * keyBlocks);
  for (let a = 0; a < queryBlocks; a++) {
    const blocks = Math.min(keyBlocks, Math.ceil((BLOCK_Q * (a + 1)) / blockK));
    const perSegment = segment / blockK;
    const before = blocks - 1 - localWindow / blockK;
    const candidates = tau < 1e-5 ? 0 : perSegment * Math.max(0, Math.floor(before / perSegment));
    const last = Math.min(BLOCK_Q * (a + 1), tokens);
    for (let i = BLOCK_Q * a; i < last; i++) {
      const scores: number[] = [];
      for (let j = 0; j <= i; j++) {
        const block = Math.floor(j / blockK);
        if (block === 0 || block > candidates) scores.push(dot(rows.q, i * dim, k.centred, j * dim, dim));
      }
      max[i] = scores.reduce((x, y) => Math.max(x, y));
      sum[i] = scores.reduce((total, score) => total + Math.exp(scale * (score - max[i]!)), 0);
      threshold[i] = max[i]! + Math.log(sum[i]! * tau) / scale;
    }
    for (let block = 0; block < blocks; block++) {
      const candidate = block >= 1 && block <= candidates;
      selectable[a * keyBlocks + block] = candidate ? 1 : 0;
      let kept = !candidate;
      for (let i = BLOCK_Q * a; i < last && !kept; i++)
        for (let j = block * blockK; j < (block + 1) * blockK && !kept; j++)
          kept = estimate(q, k, correction, i, j, dim) > threshold[i]!;
      mask[a * keyBlocks + block] = kept ? 1 : 0;
    }
  }
  const out = maskedAttention(rows, mask, inputs);
  return { q, k, correction, max, sum, threshold, mask, selectable, out };
}

/** (q4 · k4 + rint(u / scale of q)) · scale of q · scale of k; without a q of any size, the correction alone. */
function estimate(
  q: Quantised,
  k: Quantised,
  correction: Float64Array,
  i: number,
  j: number,
  dim: number,
): number {
  const [sq, sk] = [q.scales[i]!, k.scales[j]!];
  if (sq === 0) return correction[j]! * sk;
  return (dot(q.integers, i * dim, k.integers, j * dim, dim) + rint(correction[j]! / sq)) * sq * sk;
}

/**
 * Causal softmax attention of one head over the keys of kept blocks.
 *
 * @param mask [query blocks, key blocks] 1 = kept
 * @returns [T, Dv]
 */
export function keptAttention(
  inputs: Pick<SaleReferenceInputs, "q" | "k" | "v" | "blockK" | "scale">,
  batch: number,
  head: number,
  mask: Uint8Array,
): Float64Array {
  const { q, k, v } = inputs;
  const kvHead = Math.floor(head / (q.shape[2] / k.shape[2]));
  const rows = { q: rowsOf(q, batch, head), k: rowsOf(k, batch, kvHead), v: rowsOf(v, batch, kvHead) };
  return maskedAttention(rows, mask, inputs);
}

function maskedAttention(
  { q, k, v }: HeadRows,
  mask: Uint8Array,
  inputs: Pick<SaleReferenceInputs, "q" | "v" | "blockK" | "scale">,
): Float64Array {
  const { blockK, scale } = inputs;
  const [, tokens, , dim] = inputs.q.shape;
  const valueDim = inputs.v.shape[3];
  const keyBlocks = Math.ceil(tokens / blockK);
  const out = new Float64Array(tokens * valueDim);
  for (let i = 0; i < tokens; i++) {
    const first = Math.floor(i / BLOCK_Q) * keyBlocks;
    const keys = Array.from({ length: i + 1 }, (_, j) => j).filter(
      (j) => mask[first + Math.floor(j / blockK)],
    );
    const scores = keys.map((j) => scale * dot(q, i * dim, k, j * dim, dim));
    const max = scores.reduce((x, y) => Math.max(x, y));
    const weights = scores.map((score) => Math.exp(score - max));
    const total = weights.reduce((x, y) => x + y);
    for (const [n, j] of keys.entries())
      for (let e = 0; e < valueDim; e++)
        out[i * valueDim + e]! += (weights[n]! / total) * v[j * valueDim + e]!;
  }
  return out;
}

function quantise(
  rows: Float64Array,
  tokens: number,
  dim: number,
  groupOf: (token: number) => number,
): Quantised {
  const mean = new Float64Array(dim);
  for (let t = 0; t < tokens; t++) for (let c = 0; c < dim; c++) mean[c]! += rows[t * dim + c]!;
  for (let c = 0; c < dim; c++) mean[c]! /= tokens;
  const centred = rows.map((value, index) => value - mean[index % dim]!);
  const largest: number[] = [];
  for (let t = 0; t < tokens; t++)
    for (let c = 0; c < dim; c++)
      largest[groupOf(t)] = Math.max(largest[groupOf(t)] ?? 0, Math.abs(centred[t * dim + c]!));
  const scales = Float64Array.from({ length: tokens }, (_, t) => largest[groupOf(t)]! / 7);
  const integers = Int8Array.from(centred, (value, index) => {
    const scale = scales[Math.floor(index / dim)]!;
    return scale === 0 ? 0 : rint(value / scale);
  });
  return { mean, integers, scales, centred };
}

/** To the nearest integer, ties to even. */
export function rint(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** [T, D] rows of one head. */
function rowsOf({ data, shape }: DenseTensor, batch: number, head: number): Float64Array {
  const [, tokens, heads, dim] = shape;
  return Float64Array.from({ length: tokens * dim }, (_, index) => {
    const [t, c] = [Math.floor(index / dim), index % dim];
    return data[((batch * tokens + t) * heads + head) * dim + c]!;
  });
}

function dot(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, dim: number): number {
  let sum = 0;
  for (let c = 0; c < dim; c++) sum += a[i + c]! * b[j + c]!;
  return sum;
}
