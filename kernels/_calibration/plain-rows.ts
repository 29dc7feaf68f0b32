import { fail } from "../../src/dispatch/check.js";
import type { SoftmaxOptions } from "../softmax/index.js";

/** Options that say otherwise which rows there are, or which keys these look at. */
const EXCLUDED = ["queryRows", "blockMask", "queryOffsets", "keyOffsets"] as const;

/**
 * Whatever acts around softmax attention counts batch entries, rows and keys as q and k have them.
 *
 * @param subject what errors name
 * @throws AttentionError "unsupported" for packed sequences, listed rows and block masks
 */
export function checkPlainRows(
  subject: string,
  problem: Pick<SoftmaxOptions, (typeof EXCLUDED)[number]>,
): void {
  for (const name of EXCLUDED) {
    if (problem[name] === undefined) continue;
    const fix = "Give each sequence by itself, with masks and lengths.";
    fail("unsupported", `${subject} ${name}`, "none", "it", fix);
  }
}
