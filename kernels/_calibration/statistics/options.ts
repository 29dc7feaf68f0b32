import type { KeySet } from "../shift/types.js";

/**
 * What to find out about the pattern A of each head, t standing for a query's position and s for a key's. Any of them together take one
 * sweep; `diagonals` takes single products instead, and `headDiversity` a sweep of its own, since it compares heads pair by pair.
 *
 * Hidden pairs take no part. Where several heads are averaged (`headGroups`), the numbers of the heads are.
 */
export interface StatisticsRequest {
  /** What each key receives from all queries: sum over t of A_ts. */
  readonly receivedSum?: boolean;
  /** Its mean over the queries that see the key; 0 where none does (ACT's detection, sink rate). */
  readonly receivedMean?: boolean;
  /** The largest weight that a key gets; 0 where no query sees it. */
  readonly receivedMax?: boolean;
  /** How many queries see a key. */
  readonly receivedCount?: boolean;
  /**
   * FAI_s (arXiv 2510.13554): the mean weight that a key gets from the queries `low` to `high` positions behind it, hidden pairs counted
   * as 0; 0 where there are no such queries.
   */
  readonly futureInfluence?: FutureInfluenceOptions;
  /** The weight of each row on these keys, one number for each set; at most 32 sets. What is no key from 0 to Tk - 1 counts nothing. */
  readonly mass?: readonly KeySet[];
  /** Of each row, -sum A ln A. */
  readonly entropy?: boolean;
  /** Of each row, sum A²: the Frobenius norm is the root of their sum. */
  readonly squares?: boolean;
  /** Of each row, sum A |t - s|: its mean is the mean attention distance. */
  readonly distance?: boolean;
  /** WAAD_t (arXiv 2510.13554): sum A min(|t - s|, W), for this W. */
  readonly windowedDistance?: number;
  /** The key with the largest weight of each row, the first of equals, and its weight; -1 and 0 where the row sees none. */
  readonly argmax?: boolean;
  /** So many keys with the largest weights of each row, by descending weight, equals by ascending key; -1 and 0 where it sees fewer. */
  readonly topKeys?: number;
  /** A_t,t-n for each of these n: 0 is the diagonal. 0 where the pair is hidden. */
  readonly diagonals?: readonly number[];
  /**
   * The pattern made small: cell (r, c) is the mean over its query rows of their weight on its keys, so that rows keep their sums. Row
   * i belongs to cell floor(i rows / Tq), keys likewise. `rows` at most Tq, `columns` at most Tk.
   */
  readonly map?: { readonly rows: number; readonly columns: number };
  /**
   * The population standard deviation over heads of A_ts, averaged over the pairs that all heads see (HeadDiv, arXiv 2510.11602): one
   * number for each of the `headGroups`, or for all heads.
   */
  readonly headDiversity?: boolean;
}

export interface FutureInfluenceOptions {
  /** At least 0; at most `high`. */
  readonly low: number;
  readonly high: number;
  /** Position of the first query that counts: of the response's first token. Default that of the first row. */
  readonly from?: number;
}

/** By name, what the statistics are written to; all f32. */
export interface StatisticsOutputs<Tensor> {
  /** [B, Tk, G, 1], as all that keys receive. G is the number of heads, or of `headGroups`. */
  readonly receivedSum?: Tensor;
  readonly receivedMean?: Tensor;
  readonly receivedMax?: Tensor;
  readonly receivedCount?: Tensor;
  readonly futureInfluence?: Tensor;
  /** [B, Tq, G, sets] */
  readonly mass?: Tensor;
  /** [B, Tq, G, 1], as the next three. */
  readonly entropy?: Tensor;
  readonly squares?: Tensor;
  readonly distance?: Tensor;
  readonly windowedDistance?: Tensor;
  /** [B, Tq, Hq, 1]: keys as numbers. */
  readonly argmaxKey?: Tensor;
  readonly argmaxWeight?: Tensor;
  /** [B, Tq, Hq, k]: keys as numbers. */
  readonly topKeys?: Tensor;
  readonly topWeights?: Tensor;
  /** [B, Tq, G, diagonals] */
  readonly diagonals?: Tensor;
  /** [B, rows, G, columns] */
  readonly map?: Tensor;
  /** [B, 1, groups, 1] */
  readonly headDiversity?: Tensor;
}

export type StatisticName = keyof StatisticsOutputs<unknown>;

/** Statistics that are asked for by `true`. */
export const FLAGS = [
  "receivedSum",
  "receivedMean",
  "receivedMax",
  "receivedCount",
  "entropy",
  "squares",
  "distance",
  "argmax",
  "headDiversity",
] as const satisfies readonly (keyof StatisticsRequest)[];

export const REQUEST_NAMES = [
  ...FLAGS,
  "futureInfluence",
  "mass",
  "windowedDistance",
  "topKeys",
  "diagonals",
  "map",
] as const satisfies readonly (keyof StatisticsRequest)[];
