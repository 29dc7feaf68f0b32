import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { SoftmaxShape } from "./problem.js";

/** How the prefill runs: which kernel, with which tile. Every configuration gives the same result up to rounding. */
export type SoftmaxConfiguration = TiledConfiguration | RowsConfiguration;

/** What a tile depends on. */
type Sizes = Pick<SoftmaxShape, "valueDim" | "tokensQ">;

/** `tiled.wgsl`: weights change hands through workgroup memory. */
export interface TiledConfiguration {
  readonly kernel: "tiled";
  /** Row groups of a workgroup. */
  readonly groups: number;
  /** Threads of a row group; they share out keys, then value columns. */
  readonly lanes: number;
  /** Query rows of a thread. */
  readonly rows: number;
  /** Keys of a thread in a tile. */
  readonly keys: number;
}

/** `rows.wgsl`: everything in registers, no barriers. */
export interface RowsConfiguration {
  readonly kernel: "rows";
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Query rows of a thread. */
  readonly rows: number;
  /** Keys of a tile, a multiple of 4. */
  readonly keys: number;
  /** vec4 value columns of a thread. */
  readonly columns: number;
  /** Whether quads of threads share loads of keys and values. Needs the feature `subgroups`. */
  readonly subgroups: boolean;
  /** Whether loops over registers are unrolled before the driver sees them. */
  readonly unroll: boolean;
}

/**
 * The configuration for a device by what is known of its kind.
 *
 * GPUs take `tiled`: 64 threads and at most 5 KiB of workgroup memory fit every device, and lanes keep a thread's
 * accumulators at 16 vec4 or fewer, which no GPU spills. Drivers that run on a CPU take `rows`: there a barrier costs a
 * context switch for each thread, every dynamic index is a checked memory access, and every load is done lane by lane, so
 * what counts is work per load. Four rows by eight keys, unrolled, is where compile time (some 1.5 s) and speed balance.
 */
export function tableConfiguration(shape: SoftmaxShape, capabilities: Capabilities): SoftmaxConfiguration {
  return capabilities.software ? rowsConfiguration(shape, capabilities) : tiledConfiguration(shape);
}

export function tiledConfiguration({ valueDim, tokensQ }: Sizes): TiledConfiguration {
  const columns = Math.ceil(valueDim / 4);
  const lanes = columns > 16 ? 16 : columns > 4 ? 8 : 4;
  return {
    kernel: "tiled",
    groups: 64 / lanes,
    lanes,
    rows: tokensQ > 16 ? 4 : 2,
    keys: lanes === 16 ? 2 : 4,
  };
}

export function rowsConfiguration(
  { valueDim, tokensQ }: Sizes,
  capabilities: Capabilities,
): RowsConfiguration {
  return {
    kernel: "rows",
    threads: 16,
    rows: tokensQ > 32 ? 4 : 2,
    keys: 8,
    columns: Math.min(Math.ceil(valueDim / 4), 16),
    subgroups: capabilities.subgroups,
    unroll: true,
  };
}
