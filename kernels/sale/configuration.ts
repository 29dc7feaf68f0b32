import { architectureOf } from "../../src/dispatch/architecture.js";
import type { Capabilities } from "../../src/dispatch/capabilities.js";

/** How the passes that score keys run. Every configuration selects bitwise the same blocks of the same limits. Plain data. */
export interface SelectConfiguration {
  /** Query rows of a thread of `local_scores.wgsl`: a divisor of 64. */
  readonly localRows: number;
  /** Whether four 8-bit numbers are multiplied at a time, by `dot4I8Packed`. */
  readonly dot4: boolean;
  /** Query rows of a thread of `select_blocks.wgsl`: 8, or 16 in workgroups of two query blocks. */
  readonly rows: 8 | 16;
  /** Keys of a tile: 2, 4 or 8. */
  readonly keys: number;
  /** Threads that share out a query block's candidates. */
  readonly lanes: number;
  /** Whether loops over registers are unrolled before the driver sees them, and whether that over a row's words is. */
  readonly unroll: boolean;
  readonly unrollWords: boolean;
}

/**
 * The configuration for a device by what is known of its kind. A CPU driver takes a workgroup in one go when it is as wide as its
 * vectors, keeps a tile in registers, and wants constant indices; a GPU's threads are many, and short of registers. SwiftShader multiplies bytes one by one, and compiles for minutes what is unrolled whole.
 */
export function tableConfiguration(headDim: number, capabilities: Capabilities): SelectConfiguration {
  const { software, dot4 } = capabilities;
  if (!software) return { localRows: 2, dot4, rows: 8, keys: 4, lanes: 8, unroll: false, unrollWords: false };
  if (architectureOf(capabilities) === "swiftshader")
    return { localRows: 8, dot4: false, rows: 8, keys: 8, lanes: 1, unroll: true, unrollWords: false };
  // Wide heads: their rows are too long to be unrolled.
  return { localRows: 8, dot4, rows: 16, keys: 2, lanes: 1, unroll: true, unrollWords: headDim <= 128 };
}
