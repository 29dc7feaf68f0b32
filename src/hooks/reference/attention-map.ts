import type { RotaryOptions } from "webgpu-attention/softmax";
import { type DenseTensor, headRows } from "./dense-tensor.js";
import { isVisible, type MaskOptions, positionOf } from "./mask.js";
import { rotated } from "./rotary.js";

/** The attention of one head as a matrix, in float64. What every other file of this folder takes and gives. */
export interface AttentionMap {
  readonly queries: number;
  readonly keys: number;
  /** Position of query row 0 among the keys. */
  readonly offset: number;
  /** [Tq, Tk] every term but the sink logit in them; −∞ where a key is hidden. */
  readonly scores: Float64Array;
  /** [Tq] of the scores and the sink logit. */
  readonly lse: Float64Array;
  /** Joins the denominator and has no value; −∞ for none. */
  readonly sinkLogit: number;
  /** [Tq, Tk] e^(scores − lse), and what interventions made of that. */
  readonly weights: Float64Array;
}

/** A layer's inputs. All tensors are [B, tokens, heads, dim]. */
export interface AttentionInputs extends MaskOptions {
  readonly q: DenseTensor;
  /** Query head h reads head ⌊h / (Hq / Hkv)⌋ of k and v. */
  readonly k: DenseTensor;
  /** Turns queries by their positions, keys by their indices; mean queries by those of the rows that they stand for. */
  readonly rope?: RotaryOptions;
  /** Default 1 / √D. */
  readonly scale?: number;
  /** c > 0: scores become c tanh(s / c). */
  readonly softcap?: number;
  /** [Hq] taken from the scores, times the distance. */
  readonly alibiSlopes?: ArrayLike<number>;
  /** Added to the scores: [1 or B, 1 or Tq, 1 or Hq, 1 or Tk]. −∞ hides a key. */
  readonly bias?: DenseTensor;
  /** [Hq] */
  readonly sinkLogits?: ArrayLike<number>;
}

export function kvHeadOf(inputs: { readonly q: DenseTensor; readonly k: DenseTensor }, h: number): number {
  return Math.floor(h / (inputs.q.shape[2] / inputs.k.shape[2]));
}

/** softmax(q kᵀ · scale + bias), with all terms, of a head, with what its mask hides left out. */
export function attentionMap(inputs: AttentionInputs, b: number, h: number): AttentionMap {
  return mapOfQueries(inputs, headRows(inputs.q, b, h), b, h);
}

/** The same with other queries, one for each row. */
export function mapOfQueries(
  inputs: AttentionInputs,
  queryRows: readonly Float64Array[],
  b: number,
  h: number,
): AttentionMap {
  const { q, k, scale = 1 / Math.sqrt(q.shape[3]), softcap, alibiSlopes, bias, sinkLogits, rope } = inputs;
  const given = headRows(k, b, kvHeadOf(inputs, h));
  const [queries, keys] = [queryRows.length, given.length];
  const offset = positionOf(inputs, keys, queries, b, 0);
  const turned = (rows: readonly Float64Array[], first: number) =>
    rope ? rows.map((row, n) => rotated(row, first + n, rope)) : rows;
  const [placed, keyRows] = [turned(queryRows, offset), turned(given, 0)];
  const scores = new Float64Array(queries * keys).fill(-Infinity);
  for (let i = 0; i < queries; i++) {
    for (let j = 0; j < keys; j++) {
      if (!isVisible(inputs, keys, queries, b, i, j)) continue;
      const score = scale * placed[i]!.reduce((sum, x, d) => sum + x * keyRows[j]![d]!, 0);
      scores[i * keys + j] =
        (softcap ? softcap * Math.tanh(score / softcap) : score) -
        (alibiSlopes ? alibiSlopes[h]! * Math.abs(i + offset - j) : 0) +
        (bias ? broadcast(bias, b, i, h, j) : 0);
    }
  }
  return softmaxMap(scores, { queries, keys, offset }, sinkLogits?.[h]);
}

/** Softmax of rows of scores. A row that sees nothing weighs nothing. */
export function softmaxMap(
  scores: Float64Array,
  { queries, keys, offset }: Pick<AttentionMap, "queries" | "keys" | "offset">,
  sinkLogit = -Infinity,
): AttentionMap {
  const lse = new Float64Array(queries).fill(-Infinity);
  const weights = new Float64Array(queries * keys);
  for (let i = 0; i < queries; i++) {
    const row = scores.subarray(i * keys, (i + 1) * keys);
    const max = row.reduce((a, s) => Math.max(a, s), sinkLogit);
    if (max === -Infinity) continue;
    const denominator = row.reduce((sum, s) => sum + Math.exp(s - max), Math.exp(sinkLogit - max));
    lse[i] = max + Math.log(denominator);
    for (let j = 0; j < keys; j++) weights[i * keys + j] = Math.exp(row[j]! - max) / denominator;
  }
  return { queries, keys, offset, scores, lse, sinkLogit, weights };
}

/** A map of given weights, which stay as they are: their logarithms are the scores, a weight of 0 a key that is hidden. */
export function mapOfWeights(weights: ArrayLike<number>, queries: number, offset?: number): AttentionMap {
  const keys = weights.length / queries;
  const scores = Float64Array.from(weights, Math.log);
  const map = softmaxMap(scores, { queries, keys, offset: offset ?? keys - queries });
  return { ...map, weights: Float64Array.from(weights) };
}

/** Whether a query row sees a key. */
export function sees(map: AttentionMap, i: number, j: number): boolean {
  return map.scores[i * map.keys + j]! > -Infinity;
}

/** Whether a query's own position is a key that it sees: without, it cannot attend to itself. */
export function seesItself(map: AttentionMap, i: number): boolean {
  const own = i + map.offset;
  return own >= 0 && own < map.keys && sees(map, i, own);
}

/** The visible key with the largest score, the first of equals; −1 where none is visible. */
export function argmax(map: AttentionMap, i: number): number {
  let best = -1;
  for (let j = 0; j < map.keys; j++) {
    const score = map.scores[i * map.keys + j]!;
    if (score > (best < 0 ? -Infinity : map.scores[i * map.keys + best]!)) best = j;
  }
  return best;
}

/** The weights times the values; a value that weighs nothing may hold anything. [Tq] rows of [Dv]. */
export function attend(map: AttentionMap, values: readonly Float64Array[]): Float64Array[] {
  return Array.from({ length: map.queries }, (_, i) => {
    const out = new Float64Array(values[0]!.length);
    for (const [j, value] of values.entries()) {
      const weight = map.weights[i * map.keys + j]!;
      if (weight === 0) continue;
      for (let d = 0; d < out.length; d++) out[d]! += weight * value[d]!;
    }
    return out;
  });
}

/** The map with rows of weights changed: `change` gets a copy of each row, and returns it or another one. */
export function mapRows(
  map: AttentionMap,
  change: (row: Float64Array, i: number) => ArrayLike<number>,
): AttentionMap {
  const weights = new Float64Array(map.weights.length);
  for (let i = 0; i < map.queries; i++) {
    weights.set(change(map.weights.slice(i * map.keys, (i + 1) * map.keys), i), i * map.keys);
  }
  return { ...map, weights };
}

function broadcast({ data, shape }: DenseTensor, ...at: readonly [number, number, number, number]): number {
  const index = shape.reduce((flat, size, axis) => flat * size + (size === 1 ? 0 : at[axis]!), 0);
  return data[index]!;
}
