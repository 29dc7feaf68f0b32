import { checkUsage, fail } from "../../src/dispatch/check.js";

/** @throws AttentionError "shape" or "unsupported" unless it is a buffer of a u32 for each batch entry */
export function checkLengths(lengths: GPUBuffer, batches: number): void {
  if (!(lengths?.size >= 4 * batches))
    fail(
      "shape",
      "lengths",
      `a buffer of ${4 * batches} bytes`,
      lengths?.size,
      "One u32 for each batch entry.",
    );
  checkUsage("lengths usage", lengths, "STORAGE");
}
