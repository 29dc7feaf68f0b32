import { checkFinite, checkKnown, checkLength, checkWithin, fail } from "../check.js";

export interface ReceivedSinkOptions {
  /** Above which mean weight a key is a sink: ACT's code has 0.1 (0.15 for MT-Bench). */
  readonly theta?: number;
  /** ... or above `alpha` / number of keys: 5 in the paper (3 and 7 tried). Give one of the two. */
  readonly alpha?: number;
  /** Keys that are never sinks. Default key 0: its weight is of use (arXiv 2406.15765). */
  readonly protect?: readonly number[];
}

/**
 * Attention sinks by what keys receive (ACT, arXiv 2406.15765): those whose mean weight, over the queries that see them, is above a
 * threshold, itself not included. A protected key is spared by its index; the authors' code spares whichever sink comes first.
 *
 * @param receivedMeans [Tk] of one head; a key that no query sees may be NaN, and is no sink
 * @returns ascending key indices
 * @throws AttentionError "unsupported" unless exactly one threshold is given, "shape" for one that is negative or not finite.
 */
export function receivedSinks(receivedMeans: ArrayLike<number>, options: ReceivedSinkOptions): number[] {
  checkKnown("receivedSinks", options, ["theta", "alpha", "protect"]);
  const { theta, alpha, protect = [0] } = options;
  if ((theta === undefined) === (alpha === undefined)) {
    const got = theta === undefined ? "neither" : "both";
    fail(
      "unsupported",
      "theta and alpha",
      "one of the two",
      got,
      "theta is absolute, alpha counts in 1 / keys.",
    );
  }
  checkWithin(theta === undefined ? "alpha" : "theta", theta ?? alpha, 0);
  const threshold = theta ?? alpha! / receivedMeans.length;
  const spared = new Set(protect);
  return Array.from(receivedMeans).flatMap((mean, key) =>
    mean > threshold && !spared.has(key) ? [key] : [],
  );
}

/** What each key has received so far, and from how many queries: carried from step to step while decoding. Plain JSON. */
export interface ReceivedSums {
  /** [keys] */
  readonly sums: readonly number[];
  readonly counts: readonly number[];
}

/**
 * The sums after one more query. Keys that the sums do not know yet are new and come last.
 *
 * @param weights [keys] of the new query, those of the newest key included
 * @throws AttentionError "shape" for fewer weights than there are keys, or a weight that is not finite.
 */
export function addReceived({ sums, counts }: ReceivedSums, weights: ArrayLike<number>): ReceivedSums {
  checkLength("counts", counts, sums.length, "one for each sum");
  checkFinite("weights", weights);
  if (weights.length < sums.length) {
    const fix = "Drop evicted keys with keepSlots first.";
    fail("shape", "weights", `at least ${sums.length} values, one for each key`, weights.length, fix);
  }
  return {
    sums: Array.from(weights, (weight, key) => (sums[key] ?? 0) + weight),
    counts: Array.from(weights, (_, key) => (counts[key] ?? 0) + 1),
  };
}

/** Means of the sums; NaN where no query has seen a key. */
export function receivedMeans({ sums, counts }: ReceivedSums): Float64Array {
  return Float64Array.from(sums, (sum, key) => sum / counts[key]!);
}

/**
 * The running form while decoding: sinks from the means with this query's weights in them, the newest key left out, since only
 * its own query has seen it.
 *
 * @param received of the keys including the newest: the result of `addReceived`
 */
export function runningSinks(received: ReceivedSums, options: ReceivedSinkOptions): number[] {
  const newest = received.sums.length - 1;
  return receivedSinks(receivedMeans(received), {
    ...options,
    protect: [...(options.protect ?? [0]), newest],
  });
}
