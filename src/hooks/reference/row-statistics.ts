// What queries do with their weight. All of [Tq], of one head.
import { keysOf } from "../key-set.js";
import type { KeySet } from "../operations.js";
import { type AttentionMap, argmax } from "./attention-map.js";

export function rowMass(map: AttentionMap, set: KeySet): Float64Array {
  const keys = keysOf(set, map.keys);
  return ofRows(map, (row) => keys.reduce((total, key) => total + row[key]!, 0));
}

/** −Σ A ln A */
export function rowEntropy(map: AttentionMap): Float64Array {
  return ofRows(map, (row) => row.reduce((total, a) => (a > 0 ? total - a * Math.log(a) : total), 0));
}

/** Σ A²: the Frobenius norm is the root of the sum over rows. */
export function rowSquares(map: AttentionMap): Float64Array {
  return ofRows(map, (row) => row.reduce((total, a) => total + a * a, 0));
}

/** Σ A_ts |t − s| */
export function rowDistance(map: AttentionMap): Float64Array {
  return ofRows(map, (row, i) => row.reduce((total, a, s) => total + a * Math.abs(i + map.offset - s), 0));
}

/** WAAD_t = Σ A_ts min(|t − s|, W): the distance, backward in causal maps, no longer than a window (arXiv 2510.13554). */
export function windowedDistance(map: AttentionMap, window: number): Float64Array {
  return ofRows(map, (row, i) => {
    const t = i + map.offset;
    return row.reduce((total, a, s) => total + a * Math.min(Math.abs(t - s), window), 0);
  });
}

/** The key with the largest weight, the first of equals; −1 where none is visible. */
export function argmaxKey(map: AttentionMap): Int32Array {
  return Int32Array.from({ length: map.queries }, (_, i) => argmax(map, i));
}

/** A_ii; 0 where a query does not see itself. */
export function diagonal(map: AttentionMap): Float64Array {
  return ofRows(map, (row, i) => row[i + map.offset] ?? 0);
}

export interface TopKeys {
  /** [Tq, k] by descending weight, equals by ascending key; −1 where fewer are visible. */
  readonly keys: Int32Array;
  /** [Tq, k]; 0 there. */
  readonly weights: Float64Array;
}

export function topKeys(map: AttentionMap, k: number): TopKeys {
  const keys = new Int32Array(map.queries * k).fill(-1);
  const weights = new Float64Array(map.queries * k);
  for (let i = 0; i < map.queries; i++) {
    const scores = map.scores.subarray(i * map.keys, (i + 1) * map.keys);
    const visible = Array.from(scores.keys()).filter((j) => scores[j]! > -Infinity);
    const best = visible.sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, k);
    keys.set(best, i * k);
    weights.set(
      best.map((j) => map.weights[i * map.keys + j]!),
      i * k,
    );
  }
  return { keys, weights };
}

function ofRows(map: AttentionMap, reduce: (row: Float64Array, i: number) => number): Float64Array {
  return Float64Array.from({ length: map.queries }, (_, i) =>
    reduce(map.weights.subarray(i * map.keys, (i + 1) * map.keys), i),
  );
}
