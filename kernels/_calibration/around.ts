import { fail } from "../../src/dispatch/check.js";
import type { SoftmaxProblem } from "../softmax/index.js";

/** Options that say otherwise which rows there are, or which keys these look at. */
const EXCLUDED = ["queryRows", "blockMask", "queryOffsets", "keyOffsets"] as const;

/** @throws AttentionError "unsupported" for options of softmax attention that passes around it do not know */
export function checkAround(subject: string, problem: SoftmaxProblem): void {
  for (const name of EXCLUDED) {
    if (problem[name] === undefined) continue;
    fail(
      "unsupported",
      `${subject} ${name}`,
      "none",
      "it",
      "Give each sequence by itself, with masks and lengths.",
    );
  }
}
