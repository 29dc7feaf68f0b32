// What keys receive. All of [Tk], of one head; hidden pairs take no part.
import { type AttentionMap, sees } from "./attention-map.js";

/** Which queries count: those whose position is at least this. */
interface QueryRange {
  readonly from?: number;
}

export function receivedSum(map: AttentionMap): Float64Array {
  return ofKeys(map, (weights) => weights.reduce((a, b) => a + b, 0));
}

/** Over the queries that see the key; NaN where none does. */
export function receivedMean(map: AttentionMap): Float64Array {
  return ofKeys(map, (weights) => weights.reduce((a, b) => a + b, 0) / weights.length);
}

/** −∞ where no query sees the key. */
export function receivedMax(map: AttentionMap): Float64Array {
  return ofKeys(map, (weights) => weights.reduce((a, b) => Math.max(a, b), -Infinity));
}

/** How many queries see each key: what the running form divides by. */
export function receivedCount(map: AttentionMap): Float64Array {
  return ofKeys(map, (weights) => weights.length);
}

function ofKeys(map: AttentionMap, reduce: (weights: readonly number[]) => number): Float64Array {
  return Float64Array.from({ length: map.keys }, (_, j) => {
    const weights: number[] = [];
    for (let i = 0; i < map.queries; i++) if (sees(map, i, j)) weights.push(map.weights[i * map.keys + j]!);
    return reduce(weights);
  });
}

export interface FutureInfluence {
  /** [Tk]; 0 where no query lies in the horizon. */
  readonly values: Float64Array;
  /** [Tk] */
  readonly counts: Int32Array;
}

/**
 * FAI_s: the mean weight that a token gets from queries low to high positions after it (arXiv 2510.13554).
 *
 * @param from position of the first query that counts, the response's first token; default the first row
 */
export function futureInfluence(
  map: AttentionMap,
  low: number,
  high: number,
  { from = map.offset }: QueryRange = {},
): FutureInfluence {
  const values = new Float64Array(map.keys);
  const counts = new Int32Array(map.keys);
  for (let s = 0; s < map.keys; s++) {
    for (let i = 0; i < map.queries; i++) {
      const t = i + map.offset;
      if (t < from || t < s + low || t > s + high) continue;
      values[s]! += map.weights[i * map.keys + s]!;
      counts[s]!++;
    }
    if (counts[s]! > 0) values[s]! /= counts[s]!;
  }
  return { values, counts };
}
