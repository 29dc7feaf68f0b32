import type { ContenderName } from "./contender.js";
import type { BenchRow } from "./suite.js";

/** What became of one way of computing one row; travels from the page to Node, and into the `--json` file. */
export interface CallResult {
  readonly contender: ContenderName;
  /** The operator or function that was called. */
  readonly call: string;
  /** `unsupported`: the library has no way to compute this. Only `timed` calls were measured. */
  readonly status: "timed" | "wrong" | "failed" | "unsupported";
  readonly tolerance?: number;
  /** Largest error relative to the largest reference value; null where it is no finite number, which JSON cannot hold. */
  readonly maxRelative?: number | null;
  /** Compute dispatches that one call makes. */
  readonly dispatches?: number;
  /** Milliseconds, one a round. */
  readonly samples: readonly number[];
  readonly message?: string;
}

export interface RowResult extends BenchRow {
  readonly flops: number;
  /** Query rows compared with the reference, of `problem.tokensQ`. */
  readonly checkedTokens: number;
  readonly calls: readonly CallResult[];
  /** Turns of the fastest matrix products in the same rounds; empty when none was right. */
  readonly matmul: readonly MatmulSamples[];
}

export interface MatmulSamples {
  readonly name: string;
  /** Operations of one run. */
  readonly flops: number;
  /** Milliseconds, one a round. */
  readonly samples: readonly number[];
}

/** One plain matrix product kernel. */
export interface MatmulResult extends MatmulSamples {
  readonly status: "timed" | "wrong" | "failed";
  readonly maxRelative?: number | null;
  /** Rows and columns of the square matrices. */
  readonly size: number;
  readonly message?: string;
}

/** What the contenders run on, and what those that could not be started said. */
export interface StartReport {
  readonly adapter: string;
  /** Whether the adapter computes on the processor. */
  readonly software: boolean;
  readonly failures: Partial<Record<ContenderName, string>>;
}
