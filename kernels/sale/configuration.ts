import { architectureOf } from "../../src/dispatch/architecture.js";
import type { Capabilities } from "../../src/dispatch/capabilities.js";

/** How `select_blocks.wgsl` runs. Every configuration gives bitwise the same blocks. Plain data. */
export interface SelectConfiguration {
  /** Whether four 8-bit numbers are multiplied at a time, by `dot4I8Packed`. */
  readonly dot4: boolean;
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
 * vectors, and wants constant indices. SwiftShader multiplies bytes one by one, and compiles for minutes what is unrolled whole.
 */
export function tableConfiguration(headDim: number, capabilities: Capabilities): SelectConfiguration {
  const words = Math.ceil(headDim / 8);
  const { software, dot4 } = capabilities;
  if (!software) return { dot4, keys: 4, lanes: 8, unroll: false, unrollWords: false };
  if (architectureOf(capabilities) === "swiftshader")
    return { dot4: false, keys: 8, lanes: 1, unroll: true, unrollWords: false };
  // Wide heads: smaller tiles, so that the unrolled kernel stays as long as that of 64 channels.
  return { dot4, keys: words > 16 ? 2 : words > 8 ? 4 : 8, lanes: 1, unroll: true, unrollWords: true };
}
