/** What a mix does to the pattern of a head, as data. */

/** Moves the pattern towards another one. u = 0 changes nothing, u = 1 is the target itself. */
export interface MixStep {
  readonly kind: "mix";
  /**
   * - `identity`: each query attends to its own position
   * - `uniform`: equal weights over the visible keys
   * - `meanQuery`: the pattern of the mean of all queries given; causal: of those so far
   * - `argmax`: all weight on the key with the largest score, the first of equals
   * - `zero`: no output
   */
  readonly target: "identity" | "uniform" | "meanQuery" | "argmax" | "zero";
  /** From 0 to 1. */
  readonly u: number;
  /** Other than the straight one only towards the identity. Default linear. */
  readonly path?: "linear" | "fisherRao" | "slerp" | "logLinear";
}

/** The output times this. */
export interface GainStep {
  readonly kind: "gain";
  readonly output: number;
}

export type PatternStep = MixStep | GainStep;

/** By query head, in the order in which they are taken; heads that are not listed are left alone. */
export type HeadSteps = ReadonlyMap<number, PatternStep | readonly PatternStep[]>;
