// One number for a head, or for several, and the map itself made small.
import { type AttentionMap, sees } from "./attention-map.js";
import { receivedMean } from "./received-statistics.js";
import { rowDistance, rowSquares } from "./row-statistics.js";

export function frobenius(map: AttentionMap): number {
  return Math.sqrt(rowSquares(map).reduce((a, b) => a + b, 0));
}

/** The mean over queries of Σ A_ts |t − s|; `from` is the position of the first query that counts. */
export function meanDistance(map: AttentionMap, from = map.offset): number {
  const rows = rowDistance(map).subarray(Math.max(0, from - map.offset));
  return rows.reduce((a, b) => a + b, 0) / rows.length;
}

/** Mean of the n-th diagonal below the main one (LocFoc, arXiv 2510.11602). */
export function localFocus(map: AttentionMap, n: number): number {
  const entries: number[] = [];
  for (let i = 0; i < map.queries; i++) {
    const j = i + map.offset - n;
    if (j >= 0 && j < map.keys) entries.push(map.weights[i * map.keys + j]!);
  }
  return entries.reduce((a, b) => a + b, 0) / entries.length;
}

/** Kurtosis over keys of what they receive (receiver heads): the fourth standardised moment, 3 for a normal distribution. */
export function receiverKurtosis(map: AttentionMap, received = receivedMean(map)): number {
  const mean = received.reduce((a, b) => a + b, 0) / received.length;
  const moment = (n: number) => received.reduce((total, x) => total + (x - mean) ** n, 0) / received.length;
  return moment(4) / moment(2) ** 2;
}

export interface SinkRate {
  /** One for each head: whether the key receives more than `epsilon` on average. */
  readonly isSinkHead: readonly boolean[];
  /** The share of such heads. */
  readonly rate: number;
}

/** Gu et al.'s sink metric: default key 0, 0.3. */
export function sinkRate(maps: readonly AttentionMap[], epsilon = 0.3, key = 0): SinkRate {
  const isSinkHead = maps.map((map) => receivedMean(map)[key]! > epsilon);
  return { isSinkHead, rate: isSinkHead.filter(Boolean).length / maps.length };
}

/** The population standard deviation over heads, averaged over the pairs that all see (HeadDiv, arXiv 2510.11602); 0 if there is none. */
export function headDiversity(maps: readonly AttentionMap[]): number {
  const { queries, keys } = maps[0]!;
  const deviations: number[] = [];
  for (let index = 0; index < queries * keys; index++) {
    if (!maps.every((map) => sees(map, Math.floor(index / keys), index % keys))) continue;
    const weights = maps.map((map) => map.weights[index]!);
    const mean = weights.reduce((a, b) => a + b) / weights.length;
    deviations.push(Math.sqrt(weights.reduce((sum, x) => sum + (x - mean) ** 2, 0) / weights.length));
  }
  return deviations.reduce((a, b) => a + b, 0) / Math.max(1, deviations.length);
}

/** The mean pattern of several heads: its scores are the logarithms of its weights. */
export function meanMap(maps: readonly AttentionMap[]): AttentionMap {
  const first = maps[0]!;
  const weights = first.weights.map(
    (_, index) => maps.reduce((sum, map) => sum + map.weights[index]!, 0) / maps.length,
  );
  return { ...first, weights, scores: weights.map(Math.log), sinkLogit: -Infinity };
}

/**
 * A map to draw: cell (r, c) is the mean over its query rows of their weight on its keys, so that rows keep their sums.
 * Row i belongs to cell ⌊i · rows / Tq⌋, keys likewise.
 *
 * @param rows at most Tq
 * @param columns at most Tk
 * @returns [rows, columns]
 */
export function downsampled(map: AttentionMap, rows: number, columns: number): Float64Array {
  const cells = new Float64Array(rows * columns);
  const members = new Float64Array(rows);
  for (let i = 0; i < map.queries; i++) {
    const r = Math.floor((i * rows) / map.queries);
    members[r]!++;
    for (let j = 0; j < map.keys; j++) {
      cells[r * columns + Math.floor((j * columns) / map.keys)]! += map.weights[i * map.keys + j]!;
    }
  }
  return cells.map((sum, cell) => sum / members[Math.floor(cell / columns)]!);
}
