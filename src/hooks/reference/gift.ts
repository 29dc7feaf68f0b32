import type { BiasOperation } from "../operations.js";
import { type GazeEnhancement, gazeEnhancement, gazeSaliency } from "../sink-calibration/gaze-shift.js";
import type { AttentionMap } from "./attention-map.js";
import { rowMass } from "./row-statistics.js";

/** Half-open ranges of keys. */
export interface GiftRegions {
  readonly image: readonly [begin: number, end: number];
  readonly question: readonly [begin: number, end: number];
}

/**
 * Σ over some queries i of max(A_ij − A_i−1,j, 0), for each key of the image (GIFT, arXiv 2510.22067).
 *
 * @param contentRows query rows of content words; row −1 weighs nothing
 */
export function gazeShifts(
  map: AttentionMap,
  [begin, end]: GiftRegions["image"],
  contentRows: readonly number[],
): Float64Array {
  const weight = (i: number, j: number) => (i < 0 ? 0 : map.weights[i * map.keys + j]!);
  return Float64Array.from({ length: end - begin }, (_, index) => {
    const j = begin + index;
    return contentRows.reduce((total, i) => total + Math.max(weight(i, j) - weight(i - 1, j), 0), 0);
  });
}

/** Saliency of the image's keys from the maps of one layer's heads. */
export function giftSaliency(
  maps: readonly AttentionMap[],
  regions: GiftRegions,
  contentRows: readonly number[],
): ReturnType<typeof gazeSaliency> {
  const shifts = maps.flatMap((map) => Array.from(gazeShifts(map, regions.image, contentRows)));
  return gazeSaliency(shifts, maps.length, contentRows.length);
}

/** What the last query row's scores get, from that row of each head. */
export function giftEnhancement(
  maps: readonly AttentionMap[],
  { image, question }: GiftRegions,
  saliency: ArrayLike<number>,
  alpha = 5,
): GazeEnhancement {
  const last = (map: AttentionMap) => map.weights.subarray((map.queries - 1) * map.keys);
  const enhancedMass = maps.map((map) =>
    last(map)
      .subarray(...image)
      .reduce((total, a, index) => total + a * Math.exp(alpha * saliency[index]!), 0),
  );
  const massOf = (range: readonly [number, number]) => maps.map((map) => rowMass(map, { range }).at(-1)!);
  const masses = { imageMass: massOf(image), questionMass: massOf(question), enhancedMass };
  return gazeEnhancement({ saliency, ...masses }, { alpha });
}

/** The same as an operation on one head; nothing for a head that is in neither half. */
export function giftOperation(
  { imageBias, imageHeads, questionBias, questionHeads }: GazeEnhancement,
  { image, question }: GiftRegions,
  head: number,
  tokens: number,
): BiasOperation | undefined {
  const keys = new Float64Array(tokens);
  if (imageHeads.includes(head)) for (const [j, bias] of imageBias.entries()) keys[image[0] + j]! += bias;
  if (questionHeads.includes(head)) for (let j = question[0]; j < question[1]; j++) keys[j]! += questionBias;
  return keys.some((bias) => bias !== 0) ? { kind: "bias", keys, rows: "last" } : undefined;
}
