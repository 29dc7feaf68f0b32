/**
 * The preplan-and-anchor rhythm of reasoning (arXiv 2510.13554): which tokens are planned at, which are returned to, and what
 * weight their advantages get in reinforcement learning. Plain functions over statistics; positions count from 0, and
 * `response` is the position of the first generated token. The paper leaves open what becomes of empty sets, ends, ties and
 * rounding; where a docstring says "here", that is a choice of this library.
 */
import { checkInteger, checkKnown, checkLength, checkWithin, fail } from "../check.js";
import { ascending, descending, median, shareOf } from "../rank.js";

/** [from, to] of the distances at which a token counts as returned to: 10 to 50 in the paper's first version, 10 to 100 in its second. */
export const RHYTHM_HORIZONS = { v1: [10, 50], v2: [10, 100] } as const;

/**
 * Layers whose statistics are averaged: five, evenly spaced from ⌊L / 3⌋ to ⌊2L / 3⌋ (here rounded down, and each once).
 */
export function rhythmLayers(layers: number, count = 5): number[] {
  checkInteger("layers", layers, 1);
  checkInteger("count", count, 1);
  const [first, last] = [Math.floor(layers / 3), Math.floor((2 * layers) / 3)];
  const spaced = Array.from({ length: count }, (_, index) =>
    Math.floor(first + (count === 1 ? 0 : ((last - first) * index) / (count - 1))),
  );
  return [...new Set(spaced)];
}

/**
 * The heads that look nearest (local) and farthest (global) on average: the lowest and the highest share, rounded up here, equals in
 * ascending order.
 *
 * @param meanDistance mean attention distance of each head, layers behind each other
 * @param share default 0.3
 * @returns indices into `meanDistance`, ascending
 */
export function rhythmHeads(
  meanDistance: ArrayLike<number>,
  share = 0.3,
): { readonly local: number[]; readonly global: number[] } {
  checkWithin("share", share, 0, 1);
  const count = shareOf(share, meanDistance.length);
  const numeric = (a: number, b: number) => a - b;
  return {
    local: ascending(meanDistance).slice(0, count).sort(numeric),
    global: descending(meanDistance).slice(0, count).sort(numeric),
  };
}

/** Δ_t = |WAAD_t − WAAD_{t+1}|: how abruptly the backward distance changes. Of the last token, which has no next one, 0 here. */
export function waadDeltas(waad: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: waad.length }, (_, t) =>
    t + 1 < waad.length ? Math.abs(waad[t]! - waad[t + 1]!) : 0,
  );
}

export interface RhythmStatistics {
  /** [R] windowed average attention distance of the response's tokens (local heads, averaged). */
  readonly waad: ArrayLike<number>;
  /** [N] future attention influence of every token (global heads, averaged). */
  readonly fai: ArrayLike<number>;
  /** [N] queries that each mean of `fai` is over: a token without any is no candidate here. */
  readonly faiCounts: ArrayLike<number>;
}

export interface RhythmOptions {
  /** q, the share of tokens in each set, rounded up here. Default 0.4. */
  readonly share?: number;
  /** How many tokens before an anchor may introduce it: 1, 2 or 3 in the paper. Default 3. */
  readonly lookBack?: number;
  /** An anchor is dominated if its WAAD is at most this. Not published; here the median over the response. */
  readonly waadThreshold?: number;
  /** ... and a token shortly before it has a delta of at least this. Not published; here the median over the response. */
  readonly deltaThreshold?: number;
}

export interface RhythmTokens {
  /** [R] */
  readonly delta: Float64Array;
  /** Positions, ascending, as all of these. Where the local heads change abruptly: T_loc. */
  readonly preplan: readonly number[];
  /** Those that later tokens look back to most: T_glob. */
  readonly anchors: readonly number[];
  /** Anchors that a preplan token shortly before them introduces: D. */
  readonly dominated: readonly number[];
  /** I(D): for each dominated anchor the token of the largest delta among those shortly before it (here; equals: the first). */
  readonly intro: readonly number[];
}

/**
 * Selects preplan and anchor tokens. All sets are of positions in the response.
 *
 * @throws AttentionError "shape" for statistics whose lengths do not fit together, or options out of range.
 */
export function rhythmTokens(statistics: RhythmStatistics, options: RhythmOptions = {}): RhythmTokens {
  checkKnown("rhythmTokens", options, ["share", "lookBack", "waadThreshold", "deltaThreshold"]);
  const { share = 0.4, lookBack = 3 } = options;
  const { waad, fai, faiCounts } = statistics;
  const response = fai.length - waad.length;
  if (waad.length < 1 || response < 0) {
    const got = `${waad.length} WAAD and ${fai.length} FAI values`;
    fail(
      "shape",
      "statistics",
      "WAAD of the response, FAI of the whole sequence",
      got,
      "Give one of each token.",
    );
  }
  checkLength("faiCounts", faiCounts, fai.length, "one for each of fai");
  checkWithin("share", share, 0, 1);
  checkInteger("lookBack", lookBack, 1);
  const delta = waadDeltas(waad);
  const { waadThreshold = median(waad), deltaThreshold = median(delta) } = options;

  const withNext = indices(waad.length - 1);
  const preplan = top(delta, withNext, share).map((t) => t + response);
  const lookedBackTo = indices(waad.length)
    .map((t) => t + response)
    .filter((position) => faiCounts[position]! > 0);
  const anchors = top(fai, lookedBackTo, share);

  const dominated: number[] = [];
  const intro = new Set<number>();
  for (const anchor of anchors) {
    const t = anchor - response;
    const before = indices(t).slice(-lookBack);
    if (!(waad[t]! <= waadThreshold) || !before.some((u) => delta[u]! >= deltaThreshold)) continue;
    dominated.push(anchor);
    intro.add(descending(delta, before)[0]! + response);
  }
  return { delta, preplan, anchors, dominated, intro: [...intro].sort((a, b) => a - b) };
}

function indices(count: number): number[] {
  return Array.from({ length: Math.max(0, count) }, (_, index) => index);
}

/** The largest share of some candidates, ascending; equals: the smaller index. */
function top(values: ArrayLike<number>, candidates: readonly number[], share: number): number[] {
  return descending(values, candidates)
    .slice(0, shareOf(share, candidates.length))
    .sort((a, b) => a - b);
}
