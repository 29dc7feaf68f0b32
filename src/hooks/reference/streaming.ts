import { type CachePolicy, cachePositions, keepSlots, keptSlots } from "../sink-calibration/cache-policy.js";
import { attend, softmaxMap } from "./attention-map.js";

export interface StreamingStep {
  /** Tokens in the cache, the new one included. */
  readonly cached: readonly number[];
  readonly out: Float64Array;
}

/**
 * Decoding one token after another with StreamingLLM's cache (arXiv 2309.17453): room is made before a token is appended, keys are
 * cached unrotated, and rotary positions are places in the cache.
 *
 * @param q, k, v [N] rows of one head, before rotary embedding
 * @param theta rotary base, pairs (i, i + D / 2)
 */
export function streamingDecode(
  q: readonly Float64Array[],
  k: readonly Float64Array[],
  v: readonly Float64Array[],
  policy: CachePolicy,
  theta = 10_000,
): StreamingStep[] {
  let cached: number[] = [];
  return q.map((query, token) => {
    cached = [...keepSlots(cached, keptSlots(cached.length, 1, policy)), token];
    const turned = rotated(query, cachePositions(cached.length).firstQuery, theta);
    const scores = Float64Array.from(cached, (key, place) => {
      const turnedKey = rotated(k[key]!, place, theta);
      return turned.reduce((sum, x, d) => sum + x * turnedKey[d]!, 0) / Math.sqrt(query.length);
    });
    const map = softmaxMap(scores, { queries: 1, keys: cached.length, offset: cached.length - 1 });
    const [out] = attend(
      map,
      cached.map((key) => v[key]!),
    );
    return { cached, out: out! };
  });
}

function rotated(row: Float64Array, position: number, theta: number): Float64Array {
  const half = row.length / 2;
  return row.map((x, d) => {
    const pair = d % half;
    const angle = position * theta ** (-pair / half);
    const other = row[d < half ? d + half : d - half]!;
    return x * Math.cos(angle) + (d < half ? -other : other) * Math.sin(angle);
  });
}
