import type { BenchRow } from "../../kernels/_bench/mechanism-bench.js";
import type { MatmulSamples } from "../results.js";

/** What became of one entry of a row; travels from the page to Node, and into the `--json` file. */
export interface EntryResult {
  readonly name: string;
  readonly rows: number;
  readonly flops: number;
  readonly scratchBytes: number;
  /** Only `timed` entries were measured. */
  readonly status: "timed" | "wrong" | "failed";
  readonly tolerance?: number;
  /** Largest error relative to the largest reference value; null where it is no finite number. */
  readonly maxRelative?: number | null;
  /** Milliseconds, one a round. */
  readonly samples: readonly number[];
  readonly message?: string;
}

export interface MechanismRowResult {
  readonly mechanism: string;
  readonly name: string;
  readonly compare: BenchRow["compare"];
  readonly entries: readonly EntryResult[];
  /** Turns of the fastest matrix products in the same rounds. */
  readonly matmul: readonly MatmulSamples[];
}
