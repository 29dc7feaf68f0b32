import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import { mostLoopRounds } from "../../src/dispatch/loop-rounds.js";

/** What has too many rounds, and what to do. */
interface Looped {
  readonly subject: string;
  /** Of what there would have to be fewer. */
  readonly fewer: string;
  readonly got: number;
  readonly fix: string;
}

/** @throws AttentionError "unsupported" where a driver would end loops of so many rounds before they are through */
export function checkRounds(
  rounds: number,
  capabilities: Capabilities,
  { subject, fewer, got, fix }: Looped,
): void {
  if (rounds <= mostLoopRounds(capabilities)) return;
  fail("unsupported", subject, `fewer ${fewer}, on this driver`, got, fix);
}

/** What to do instead of a product with so many channels. */
export const SPLIT_CHANNELS = "Multiply elsewhere, or split x along its channels and add up.";
