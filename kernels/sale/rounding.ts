// How far f32 may lead the selection from float64, and which blocks that leaves open.
import { BLOCK_Q, type DenseTensor, rint, type SaleHead } from "./reference.js";

/**
 * Roundings that a score of `dim` products goes through, in units of 2^-24 of the sizes that go into it: the products and sums of
 * the exact score, and a dozen more for means, scales, their inverse and the threshold.
 */
export function scoreRounding(dim: number): number {
  return (dim + 16) * 2 ** -24;
}

/** Absolute error of ln(sum of exponentials): `exp` and `log` of WGSL, and the sum. */
const LOG_ROUNDING = 2 ** -19;

/** For each [query block, key block] of a head: 1 where every order of rounding keeps it, 0 where none does, 2 where some do. */
export function certainMask(
  head: SaleHead,
  q: DenseTensor,
  place: { readonly batch: number; readonly head: number },
  problem: { readonly blockK: number; readonly scale: number },
): Uint8Array {
  const [, tokens, heads, dim] = q.shape;
  const { blockK, scale } = problem;
  const keyBlocks = Math.ceil(tokens / blockK);
  const keySizes = Float64Array.from({ length: tokens }, (_, j) => size(head.k.centred, j * dim, dim));
  const largestKey = keySizes.reduce((a, b) => Math.max(a, b), 0);
  const rounding = scoreRounding(dim);
  const open = head.mask.slice();
  for (const [place2, candidate] of head.selectable.entries()) {
    if (!candidate) continue;
    const [a, block] = [Math.floor(place2 / keyBlocks), place2 % keyBlocks];
    let [possible, certain] = [false, false];
    for (let i = a * BLOCK_Q; i < Math.min((a + 1) * BLOCK_Q, tokens); i++) {
      const querySize = size(q.data, ((place.batch * tokens + i) * heads + place.head) * dim, dim);
      for (let j = block * blockK; j < (block + 1) * blockK; j++) {
        const [low, high] = estimates(head, i, j, dim, rounding);
        const sizes =
          querySize * largestKey + Math.max(Math.abs(low), Math.abs(high)) + Math.abs(head.threshold[i]!);
        const margin = rounding * sizes + LOG_ROUNDING / scale;
        possible ||= high - head.threshold[i]! > -margin;
        certain ||= low - head.threshold[i]! > margin;
      }
    }
    open[place2] = certain ? 1 : possible ? 2 : 0;
  }
  return open;
}

/** The estimate of a score with the correction rounded down and up, where it lies so near a tie that f32 may do either. */
function estimates(head: SaleHead, i: number, j: number, dim: number, rounding: number): [number, number] {
  const { q, k, correction } = head;
  const [sq, sk] = [q.scales[i]!, k.scales[j]!];
  if (sq === 0) return [correction[j]! * sk, correction[j]! * sk];
  let products = 0;
  for (let c = 0; c < dim; c++) products += q.integers[i * dim + c]! * k.integers[j * dim + c]!;
  const steps = correction[j]! / sq;
  // The correction's own error is that of a score, in units of its scales.
  const slack =
    rounding * (Math.abs(steps) + size(q.mean, 0, dim) * (size(k.centred, j * dim, dim) / (sq * sk || 1)));
  return [steps - slack, steps + slack].map((value) => (products + rint(value)) * sq * sk) as [
    number,
    number,
  ];
}

function size(values: ArrayLike<number>, from: number, dim: number): number {
  let sum = 0;
  for (let c = 0; c < dim; c++) sum += values[from + c]! ** 2;
  return Math.sqrt(sum);
}
