import { architectureOf } from "./architecture.js";
import type { Capabilities } from "./capabilities.js";

/**
 * Rounds that all loops of one invocation may take together on this device. llvmpipe ends loops after so many, without a word
 * (Mesa's gallivm guards against endless ones): what comes after is left out of the result.
 */
export function mostLoopRounds(capabilities: Pick<Capabilities, "adapter">): number {
  return architectureOf(capabilities) === "llvmpipe" ? 65_535 : Number.POSITIVE_INFINITY;
}
