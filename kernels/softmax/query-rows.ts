import { checkUsage, fail, isBuffer } from "../../src/dispatch/check.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** @throws AttentionError "shape" or "unsupported" for a list of query rows that cannot be one */
export function checkQueryRows(
  buffer: GPUBuffer,
  [batches, heads, tokensQ]: Shape4,
  hasBlockMask: boolean,
): void {
  if (!isBuffer(buffer))
    fail(
      "shape",
      "queryRows",
      "a GPUBuffer of u32 [B, Hq, 1 + Tq]",
      buffer,
      "Leave it out to compute all rows.",
    );
  checkUsage("queryRows usage", buffer, "STORAGE");
  const bytes = 4 * batches * heads * (1 + tokensQ);
  if (buffer.size < bytes)
    fail(
      "shape",
      "queryRows",
      `at least ${bytes} bytes, u32 [${batches}, ${heads}, 1 + ${tokensQ}]`,
      `${buffer.size} bytes`,
      "Give a count and room for every token for each head.",
    );
  if (hasBlockMask)
    fail(
      "unsupported",
      "queryRows with blockMask",
      "one of the two",
      "both",
      "Listed rows of one tile lie in several blocks; put what the mask says into maskMod.",
    );
}
