import type { Capabilities } from "../../src/dispatch/capabilities.js";

/**
 * Whether the adapter computes on the processor. There a load costs as much as a dozen multiplications, and a barrier a
 * switch of context for every few threads: fewer threads with more registers are faster, unlike on any GPU.
 */
export function isSoftware({ adapter }: Capabilities): boolean {
  const names = `${adapter.architecture} ${adapter.device} ${adapter.description}`;
  return /swiftshader|llvmpipe|lavapipe/i.test(names);
}

/** Threads of a workgroup that owns one row (`row_sum.wgsl`). */
export function rowThreads(capabilities: Capabilities): number {
  return isSoftware(capabilities) ? 16 : 64;
}
