import type { Capabilities } from "../../src/dispatch/capabilities.js";

/** Threads of a workgroup that owns one row (`row_sum.wgsl`). */
export function rowThreads({ software }: Capabilities): number {
  return software ? 16 : 64;
}
