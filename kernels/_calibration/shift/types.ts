// Shifts as data. Structurally what `webgpu-attention/hooks` has as operations on a head.

/** Keys by a range (end exclusive) or one by one. */
export type KeySet =
  | { readonly range: readonly [begin: number, end: number] }
  | { readonly keys: readonly number[] };

/** Query rows: all, the last one, or those whose position is at least `from`. */
export type ShiftRows = "all" | "last" | { readonly from: number };

/**
 * - `received`: the mean weight that a key gets from the queries that see it is above `theta`, or above `alpha` / keys, those that the batch
 *   entry has (`keyStarts` to `keyLengths`, whether or not a query sees them)
 * - `hidden`: the hidden state is huge in one of `dims`: above `tau` times its root mean square
 * - `keys`: these
 *
 * While decoding, sinks are those of the prefill, or (`update: "running"`) found anew from running means, the newest key left out
 * (`spareNewest`).
 */
export type SinkRule =
  | { readonly received: "abs"; readonly theta: number; readonly update?: "prefill" | "running" }
  | { readonly received: "perKeys"; readonly alpha: number; readonly update?: "prefill" | "running" }
  | { readonly hidden: { readonly dims: readonly number[]; readonly tau: number } }
  | { readonly keys: readonly number[] };

/** Rows that do not pass are left alone. */
export interface ShiftGate {
  /** The row's weight on these keys is at least so much. */
  readonly mass?: readonly [keys: KeySet, least: number];
  /** The weight on the first set's non-sinks, over that on the second set, is at least so much. */
  readonly ratio?: readonly [nonsinks: KeySet, of: KeySet, least: number];
  /** The sinks' share of these keys is at most so much, and there is a sink among them. */
  readonly portion?: readonly [keys: KeySet, most: number];
}

/** Takes weight from sinks and gives it to recipients, in proportion to what these have. Rows keep their sums. */
export interface KeyShift {
  readonly sinks: SinkRule;
  /** The share that a sink keeps, from 0 to 1. With 1 nothing happens, and no sinks are looked for. */
  readonly keep: number;
  /** Sinks among them receive nothing. */
  readonly recipients: KeySet | "nonsinks";
  /** Keys that are never sinks. Default: key 0 for sinks found by what they receive, none for the other rules. */
  readonly protect?: readonly number[];
  readonly gate?: ShiftGate;
  /** Default all. */
  readonly rows?: ShiftRows;
}

/** By query head; heads that are not listed are left alone. The same for all batch entries, or one map for each. */
export type HeadShifts = ReadonlyMap<number, KeyShift> | readonly ReadonlyMap<number, KeyShift>[];

/** Sinks of every head on the GPU, as a plan has left them. */
export interface SinkLists {
  /** u32 [B, Hq, 1 + keys + ceil(keys / 32)]: how many, their keys in ascending order, then a bit a key. */
  readonly buffer: GPUBuffer;
  /** Keys that there is room for. */
  readonly keys: number;
}
