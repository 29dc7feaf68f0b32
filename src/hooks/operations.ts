/**
 * What one may do to the attention of a head, as data. Scale and bias act on
 * the scores; the others on what softmax made of them, in the order in which they are listed.
 */
export type HeadOperation = ScaleOperation | BiasOperation | MixOperation | ShiftOperation | GainOperation;

/** Scores times `logits`: the inverse of a temperature. */
export interface ScaleOperation {
  readonly kind: "scale";
  readonly logits: number;
}

/** Added to the scores of these query rows. */
export interface BiasOperation {
  readonly kind: "bias";
  /** [Tk] */
  readonly keys: ArrayLike<number>;
  readonly rows: RowSet;
}

/** Moves the pattern towards another one. u = 0 changes nothing, u = 1 is the target itself. */
export interface MixOperation {
  readonly kind: "mix";
  readonly target: MixTarget;
  /** From 0 to 1. */
  readonly u: number;
  /** Ways other than the straight one end at the identity only. Default linear. */
  readonly path?: MixPath;
}

/**
 * - `identity`: each query attends to its own position (PAG, SoftPAG)
 * - `uniform`: equal weights over the visible keys
 * - `meanQuery`: the pattern of the mean query (SEG); with a causal mask, of the mean of the queries so far
 * - `argmax`: all weight on the key with the largest one, the first of equals
 * - `zero`: no output
 */
export type MixTarget = "identity" | "uniform" | "meanQuery" | "argmax" | "zero";

export type MixPath = "linear" | "fisherRao" | "slerp" | "logLinear";

/** Takes weight from sinks and gives it to recipients, in proportion to what these have (ACT, VAR). Rows keep their sums. */
export interface ShiftOperation {
  readonly kind: "shift";
  readonly sinks: SinkRule;
  /** The share that a sink keeps, from 0 to 1. */
  readonly keep: number;
  /** Sinks among them receive nothing. */
  readonly recipients: KeySet | "nonsinks";
  /** Keys that are never sinks. Default: key 0 for sinks found by what they receive, none for the other rules. */
  readonly protect?: readonly number[];
  /** Rows that pass no gate are left alone. */
  readonly gate?: ShiftGate;
  /** Default all. */
  readonly rows?: RowSet;
}

export interface ShiftGate {
  /** The row's weight on these keys is at least so much. */
  readonly mass?: readonly [keys: KeySet, least: number];
  /** The weight on the first set's non-sinks, over that on the second set, is at least so much (VAR as published). */
  readonly ratio?: readonly [nonsinks: KeySet, of: KeySet, least: number];
  /** The sinks' share of these keys is at most so much, and there is a sink among them (VAR as its authors' code has it). */
  readonly portion?: readonly [keys: KeySet, most: number];
}

/**
 * - `received`: the mean weight that a key gets from the queries that see it is above `theta`, or above `alpha` / keys (ACT)
 * - `hidden`: the hidden state is huge in one of `dims`: above `tau` times its root mean square (VAR)
 * - `keys`: these
 */
export type SinkRule =
  | { readonly received: "abs"; readonly theta: number; readonly update?: SinkUpdate }
  | { readonly received: "perKeys"; readonly alpha: number; readonly update?: SinkUpdate }
  | { readonly hidden: { readonly dims: readonly number[]; readonly tau: number } }
  | { readonly keys: readonly number[] };

/** While decoding: the sinks of the prefill, or found anew at each step from running means. Default prefill. */
export type SinkUpdate = "prefill" | "running";

/** The output times this. */
export interface GainOperation {
  readonly kind: "gain";
  readonly output: number;
}

/** Keys by a range (end exclusive) or one by one. */
export type KeySet =
  | { readonly range: readonly [begin: number, end: number] }
  | { readonly keys: readonly number[] };

/** Query rows: all, the last one, or those whose position is at least `from`. */
export type RowSet = "all" | "last" | { readonly from: number };
