import type { SoftmaxOptions } from "webgpu-attention/softmax";
import { fail } from "../check.js";

/** Options that say otherwise which rows there are, or which keys these look at. */
const EXCLUDED = ["queryRows", "blockMask", "queryOffsets", "keyOffsets"] as const;

/**
 * Operations on heads count batch entries, rows and keys as q and k have them, those on scores too.
 *
 * @throws AttentionError "unsupported" for packed sequences, listed rows and block masks
 */
export function checkPlainRows(
  subject: string,
  problem: Pick<SoftmaxOptions, (typeof EXCLUDED)[number]>,
): void {
  for (const name of EXCLUDED) {
    if (problem[name] === undefined) continue;
    const fix = "Give each sequence by itself, with masks and lengths.";
    fail("unsupported", `${name} of ${subject}`, "none", "it", fix);
  }
}
