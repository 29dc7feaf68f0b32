import { fail } from "../../src/dispatch/check.js";

/** Which of a layer's heads are active. */
export interface HeadChoice {
  /** Heads 0 to sharedHeads - 1 are active for every token. May be 0. */
  readonly sharedHeads: number;
  /** How many of the other heads, the routed ones, are active for a token. May be 0, and as many as there are. */
  readonly topK: number;
}

/** @throws AttentionError "shape" unless there are so many heads, and at least one of them is active */
export function checkHeadChoice(heads: number, { sharedHeads, topK }: HeadChoice): void {
  checkCount("heads", heads, 1, 65_535, "It is the number of query heads.");
  checkCount(
    "sharedHeads",
    sharedHeads,
    0,
    heads,
    "Shared heads are the first of all heads; 0 where there are none.",
  );
  checkCount(
    "topK",
    topK,
    0,
    heads - sharedHeads,
    `Of ${heads} heads ${sharedHeads} are shared, so at most ${heads - sharedHeads} can be chosen for a token.`,
  );
  if (sharedHeads + topK === 0)
    fail(
      "shape",
      "sharedHeads and topK",
      "at least one active head",
      "0 and 0",
      "Share a head, or choose one.",
    );
}

/** Whether every head is active for every token, whatever the router says. */
export function allActive(heads: number, { sharedHeads, topK }: HeadChoice): boolean {
  return sharedHeads + topK === heads;
}

function checkCount(name: string, value: number, least: number, most: number, fix: string): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  fail("shape", name, `an integer from ${least} to ${most}`, value, fix);
}
