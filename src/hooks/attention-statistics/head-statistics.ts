/**
 * One number for a head, from what `attentionStatistics` of `webgpu-attention/calibration` finds for its rows and keys. Plain functions
 * on the numbers of one head, tokens in order; `headValues` takes these out of what `ctx.read` gives.
 */
import { checkInteger, checkKnown, checkLength, checkWithin, fail } from "../check.js";
import { mean, sum } from "../rank.js";

/**
 * The numbers of one head out of those of a tensor, [batch, tokens, heads, 1] in logical order.
 *
 * @param batch default 0
 * @throws AttentionError "shape" for a head that there is not
 */
export function headValues(
  values: ArrayLike<number>,
  [batches, tokens, heads, dim]: readonly [number, number, number, number],
  head: number,
  batch = 0,
): Float64Array {
  checkLength("values", values, batches * tokens * heads * dim, "of the whole tensor");
  const isPlace = (index: number, count: number) => Number.isInteger(index) && index >= 0 && index < count;
  if (!isPlace(head, heads) || !isPlace(batch, batches))
    fail(
      "shape",
      "head",
      `one of ${batches} x ${heads}`,
      `${batch}, ${head}`,
      "Batch entries and heads count from 0.",
    );
  return Float64Array.from({ length: tokens * dim }, (_, index) => {
    const [token, d] = [Math.floor(index / dim), index % dim];
    return values[((batch * tokens + token) * heads + head) * dim + d]!;
  });
}

/** The Frobenius norm of a pattern, the concentration of arXiv 2510.11602: the root of its rows' `squares`. */
export function frobeniusNorm(squares: ArrayLike<number>): number {
  return Math.sqrt(sum(squares));
}

/**
 * Mean attention distance: the mean of the rows' `distance`.
 *
 * @param first the first row that counts, of a response; default 0
 * @throws AttentionError "shape" where no row counts
 */
export function meanDistance(distances: ArrayLike<number>, first = 0): number {
  checkInteger("first", first, 0);
  if (first >= distances.length)
    fail(
      "shape",
      "first",
      `below ${distances.length}, the number of rows`,
      first,
      "Take a row that is there.",
    );
  return mean(Array.from(distances).slice(first));
}

/**
 * Mean of the n-th diagonal below the main one (LocFoc, arXiv 2510.11602), over the rows that have a key there.
 *
 * @param weights [Tq] of the `diagonals` that were asked for
 * @param options.keys Tk
 * @param options.offset position of query row 0 among the keys; default keys - rows
 * @throws AttentionError "shape" where no row has a key there, or a number that is not whole
 */
export function localFocus(
  weights: ArrayLike<number>,
  n: number,
  options: { readonly keys: number; readonly offset?: number },
): number {
  checkKnown("localFocus", options, ["keys", "offset"]);
  const { keys, offset = keys - weights.length } = options;
  for (const [name, value] of Object.entries({ n, offset }))
    checkInteger(name, value, Number.MIN_SAFE_INTEGER);
  checkInteger("keys", keys, 1);
  const own = Array.from(weights).filter((_, row) => row + offset - n >= 0 && row + offset - n < keys);
  if (own.length === 0)
    fail("shape", "n", "a diagonal on which rows have keys", n, "Take one that is nearer.");
  return mean(own);
}

/** Kurtosis over keys of what they receive on average (receiver heads): the fourth standardised moment, 3 for a normal distribution, NaN if all keys receive the same. */
export function receiverKurtosis(receivedMeans: ArrayLike<number>): number {
  const center = mean(receivedMeans);
  const moment = (power: number) => mean(Array.from(receivedMeans, (x) => (x - center) ** power));
  return moment(4) / moment(2) ** 2;
}

export interface SinkRateOptions {
  /** A head is a sink head if its key receives more than this on average. Default 0.3 (Gu et al., arXiv 2410.10781). */
  readonly epsilon?: number;
  /** Default the first. */
  readonly key?: number;
}

export interface SinkRate {
  readonly isSinkHead: readonly boolean[];
  /** The share of such heads. */
  readonly rate: number;
}

/**
 * The share of heads whose first key is a sink.
 *
 * @param receivedMeans [Tk] of each head
 * @throws AttentionError "shape" for no head, a key that there is not, or a negative threshold
 */
export function sinkRate(
  receivedMeans: readonly ArrayLike<number>[],
  options: SinkRateOptions = {},
): SinkRate {
  checkKnown("sinkRate", options, ["epsilon", "key"]);
  const { epsilon = 0.3, key = 0 } = options;
  checkWithin("epsilon", epsilon, 0);
  checkInteger("key", key, 0);
  if (receivedMeans.length === 0)
    fail("shape", "receivedMeans", "the means of one head at least", "none", "Give an array for each head.");
  const isSinkHead = receivedMeans.map((means, head) => {
    if (key < means.length) return means[key]! > epsilon;
    return fail(
      "shape",
      `receivedMeans[${head}]`,
      `more than ${key} keys`,
      means.length,
      "Choose a key that is there.",
    );
  });
  return { isSinkHead, rate: isSinkHead.filter(Boolean).length / isSinkHead.length };
}

/**
 * How many queries each mean of `futureInfluence` is over: `rhythmTokens` leaves keys out that have none.
 *
 * @param keys Tk
 * @param options those of the statistic, with the number of query rows and the position of the first (default: both sequences end together)
 * @returns [Tk]
 */
export function futureInfluenceCounts(
  keys: number,
  options: {
    readonly low: number;
    readonly high: number;
    readonly from?: number;
    readonly rows?: number;
    readonly offset?: number;
  },
): Int32Array {
  checkKnown("futureInfluenceCounts", options, ["low", "high", "from", "rows", "offset"]);
  const { low, high, rows = keys, offset = keys - rows, from = offset } = options;
  checkInteger("keys", keys, 1);
  checkInteger("low", low, 0);
  checkInteger("high", high, low);
  checkInteger("rows", rows, 0);
  for (const [name, value] of Object.entries({ offset, from }))
    checkInteger(name, value, Number.MIN_SAFE_INTEGER);
  return Int32Array.from({ length: keys }, (_, key) => {
    const first = Math.max(key + low, from, offset);
    const last = Math.min(key + high, offset + rows - 1);
    return Math.max(0, last - first + 1);
  });
}
