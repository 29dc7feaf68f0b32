import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** A dense row-major tensor [batch, tokens, heads, dim]. */
export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape4;
}

export interface SoftmaxReferenceInputs {
  /** [B, Tq, Hq, D] */
  readonly q: DenseTensor;
  /** [B, Tk, Hkv, D]; query head h reads head ⌊h / (Hq / Hkv)⌋. */
  readonly k: DenseTensor;
  /** [B, Tk, Hkv, Dv] */
  readonly v: DenseTensor;
  readonly causal?: boolean;
  /** Position of query row 0 among the keys; default Tk − Tq (aligned at the end). "end": keyLengths[b] − Tq. */
  readonly queryOffset?: number | "end";
  /** Keys visible on either side of the query's position, itself not counted; default all. */
  readonly window?: { readonly left?: number; readonly right?: number };
  /** Default 1 / √D. */
  readonly scale?: number;
  /** c > 0 in c·tanh(s / c); default none. */
  readonly softcap?: number;
  /** [Hq] */
  readonly alibiSlopes?: ArrayLike<number>;
  /** Added to the scores: [1 or B, 1 or Hq, 1 or Tq, 1 or Tk]. */
  readonly bias?: DenseTensor;
  /** [B] first visible key; default 0. */
  readonly keyStarts?: ArrayLike<number>;
  /** [B] one past the last visible key, counted from key 0 whatever `keyStarts` says; default Tk. */
  readonly keyLengths?: ArrayLike<number>;
  /** [B, Tk] nonzero = visible. */
  readonly keyMask?: ArrayLike<number>;
  /** [Hq] logits that join the denominator only: neither scaled, capped nor masked. */
  readonly sinkLogits?: ArrayLike<number>;
  /** Rotates q and k by their positions before the scores. */
  readonly rope?: ReferenceRotary;
  /** Changes a score that has every other term. */
  readonly scoreMod?: (score: number, b: number, h: number, i: number, j: number) => number;
  /** Whether query row i of a head sees key j, beside all other masks. */
  readonly maskMod?: (b: number, h: number, i: number, j: number) => boolean;
}

export interface ReferenceRotary {
  /** Default 10000. */
  readonly theta?: number;
  /** Default D. */
  readonly dim?: number;
  /** Pairs (2n, 2n + 1) instead of (n, n + dim / 2). */
  readonly interleaved?: boolean;
  /** [dim / 2] radians per token, instead of theta^(−2n / dim). */
  readonly frequencies?: ArrayLike<number>;
}

export interface SoftmaxReferenceResult {
  /** [B, Tq, Hq, Dv] */
  readonly out: Float64Array;
  /** [B, Tq, Hq] natural log of the denominator; −∞ where no key is visible and there is no sink. */
  readonly lse: Float64Array;
}

/**
 * Softmax attention in float64 straight from its equations, all scores of a row at once. The specification of this
 * folder's kernels; loaded only to check candidates, never to compute.
 */
export function softmaxAttentionReference(given: SoftmaxReferenceInputs): SoftmaxReferenceResult {
  checkShapes(given);
  const inputs = given.rope ? rotated(given, given.rope) : given;
  const { q, k, v, sinkLogits } = inputs;
  const [batches, queries, heads] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const valueDim = v.shape[3];
  const out = new Float64Array(batches * queries * heads * valueDim);
  const lse = new Float64Array(batches * queries * heads);

  for (let b = 0; b < batches; b++) {
    for (let i = 0; i < queries; i++) {
      for (let h = 0; h < heads; h++) {
        const kvHead = Math.floor(h / (heads / kvHeads));
        const position = i + offsetOf(inputs, b);
        const sink = sinkLogits?.[h] ?? -Infinity;

        const scores = new Float64Array(keys).fill(-Infinity);
        for (let j = 0; j < keys; j++) {
          if (isVisible(inputs, b, position, j) && (inputs.maskMod?.(b, h, i, j) ?? true))
            scores[j] = score(inputs, b, h, kvHead, i, j, position);
        }

        const row = (b * queries + i) * heads + h;
        const max = scores.reduce((a, s) => Math.max(a, s), sink);
        if (max === -Infinity) {
          lse[row] = -Infinity;
          continue;
        }
        // Subtracting the largest score changes nothing but keeps e^s finite.
        const weights = scores.map((s) => Math.exp(s - max));
        const denominator = weights.reduce((sum, w) => sum + w, Math.exp(sink - max));
        lse[row] = max + Math.log(denominator);
        for (let j = 0; j < keys; j++) {
          if (weights[j] === 0) continue;
          for (let e = 0; e < valueDim; e++) {
            out[row * valueDim + e]! += (weights[j]! / denominator) * at(v, b, j, kvHead, e);
          }
        }
      }
    }
  }
  return { out, lse };
}

function offsetOf({ q, k, queryOffset, keyLengths }: SoftmaxReferenceInputs, b: number): number {
  if (queryOffset === "end") return (keyLengths?.[b] ?? k.shape[1]) - q.shape[1];
  return queryOffset ?? k.shape[1] - q.shape[1];
}

/** Queries turned by their position, keys by their index (RoFormer, equation 34). */
function rotated(inputs: SoftmaxReferenceInputs, rope: ReferenceRotary): SoftmaxReferenceInputs {
  const turn = (tensor: DenseTensor, positionOf: (b: number, token: number) => number): DenseTensor => {
    const [, tokens, heads, width] = tensor.shape;
    const { theta = 10_000, dim = width, interleaved = false, frequencies } = rope;
    const data = Float64Array.from(tensor.data);
    for (let row = 0; row < data.length / width; row++) {
      const token = Math.floor(row / heads) % tokens;
      const position = positionOf(Math.floor(row / (heads * tokens)), token);
      for (let n = 0; n < dim / 2; n++) {
        const angle = position * (frequencies?.[n] ?? theta ** ((-2 * n) / dim));
        const first = row * width + (interleaved ? 2 * n : n);
        const second = first + (interleaved ? 1 : dim / 2);
        const [x, y] = [tensor.data[first]!, tensor.data[second]!];
        data[first] = x * Math.cos(angle) - y * Math.sin(angle);
        data[second] = x * Math.sin(angle) + y * Math.cos(angle);
      }
    }
    return { data, shape: tensor.shape };
  };
  const q = turn(inputs.q, (b, i) => i + offsetOf(inputs, b));
  return { ...inputs, q, k: turn(inputs.k, (_b, j) => j) };
}

function isVisible(inputs: SoftmaxReferenceInputs, b: number, position: number, j: number): boolean {
  const { causal = false, window = {}, keyStarts, keyLengths, keyMask } = inputs;
  const keys = inputs.k.shape[1];
  if (causal && j > position) return false;
  if (window.left !== undefined && j < position - window.left) return false;
  if (window.right !== undefined && j > position + window.right) return false;
  if (keyStarts && j < keyStarts[b]!) return false;
  if (keyLengths && j >= keyLengths[b]!) return false;
  return !keyMask || Boolean(keyMask[b * keys + j]);
}

/** scale · q·k, then soft cap, then the additive terms: the cap bounds the content score only. */
function score(
  inputs: SoftmaxReferenceInputs,
  b: number,
  h: number,
  kvHead: number,
  i: number,
  j: number,
  position: number,
): number {
  const { q, k, softcap, alibiSlopes, bias } = inputs;
  const headDim = q.shape[3];
  let s = 0;
  for (let d = 0; d < headDim; d++) s += at(q, b, i, h, d) * at(k, b, j, kvHead, d);
  s *= inputs.scale ?? 1 / Math.sqrt(headDim);
  if (softcap) s = softcap * Math.tanh(s / softcap);
  if (alibiSlopes) s -= alibiSlopes[h]! * Math.abs(position - j);
  if (bias) s += at(bias, ...broadcast(bias.shape, [b, h, i, j]));
  return inputs.scoreMod ? inputs.scoreMod(s, b, h, i, j) : s;
}

function at({ data, shape }: DenseTensor, a: number, b: number, c: number, d: number): number {
  return data[((a * shape[1] + b) * shape[2] + c) * shape[3] + d]!;
}

function broadcast(shape: Shape4, index: Shape4): Shape4 {
  const [a, b, c, d] = index.map((position, axis) => (shape[axis] === 1 ? 0 : position));
  return [a!, b!, c!, d!];
}

/** A wrong shape would read `undefined` and pass NaN off as the truth. */
function checkShapes(inputs: SoftmaxReferenceInputs): void {
  const { q, k, v, bias } = inputs;
  const [batches, queries, heads, headDim] = q.shape;
  const [, keys, kvHeads, valueDim] = [...k.shape.slice(0, 3), v.shape[3]] as [
    number,
    number,
    number,
    number,
  ];
  const expectSize = (name: string, data: ArrayLike<number> | undefined, size: number): void => {
    if (data && data.length !== size) throw new Error(`${name}: expected ${size} values, got ${data.length}`);
  };
  if (heads % kvHeads !== 0) throw new Error(`${heads} query heads do not divide into ${kvHeads} kv heads`);
  expectSize("q", q.data, batches * queries * heads * headDim);
  expectSize("k", k.data, batches * keys * kvHeads * headDim);
  expectSize("v", v.data, batches * keys * kvHeads * valueDim);
  expectSize("alibiSlopes", inputs.alibiSlopes, heads);
  expectSize("sinkLogits", inputs.sinkLogits, heads);
  expectSize("keyStarts", inputs.keyStarts, batches);
  expectSize("keyLengths", inputs.keyLengths, batches);
  expectSize("keyMask", inputs.keyMask, batches * keys);
  [batches, heads, queries, keys].forEach((size, axis) => {
    const got = bias?.shape[axis] ?? 1;
    if (got !== 1 && got !== size) throw new Error(`bias.shape[${axis}]: expected 1 or ${size}, got ${got}`);
  });
}
