import type { PerBatch } from "../../src/dispatch/per-batch.js";
export interface FlowOptions {
  /** Token t reads tokens 0 to t; q and k are as long as each other. Default false. */
  readonly causal?: boolean;
  /**
   * Bound of the conserved outgoing flow before the competition's exponential; `null` for none. Default 1, as in the paper's core
   * code, language model and vision models; the authors' other experiments have 5 (NLP), 10 (reinforcement learning) and none
   * (time series, long range arena). The mean of what it bounds is L / S, so that with L = S about half of the sources reach 1.
   */
  readonly clamp?: number | null;
  /** Added to the channels of both factors of every flow, after sums over tokens; at least 1e-12. Default 1e-6. */
  readonly epsilon?: number;
  /** `"cv"` adds epsilon to each flow once more, as the authors' vision models do; not causal. Default `"core"`. */
  readonly variant?: "core" | "cv";
  /**
   * Tokens of each batch entry that are no padding, counted from its first: padding is neither sink nor source, counts as no token,
   * may hold anything, and its rows of the output are zero. A causal token is both sink and source, so that there one of the two
   * serves for both. A buffer's values are taken as at most L or S. Default all.
   */
  readonly queryLengths?: PerBatch;
  readonly keyLengths?: PerBatch;
}

export const OPTION_NAMES = [
  "causal",
  "clamp",
  "epsilon",
  "variant",
  "queryLengths",
  "keyLengths",
] as const satisfies readonly (keyof FlowOptions)[];
