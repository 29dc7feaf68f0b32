import { checkInteger, checkKnown, checkWithin, fail } from "../check.js";

/** Channels in which sinks are huge, of published models (arXiv 2503.03321), counted from 0. */
export const SINK_DIMENSIONS = {
  "LLaMA-2-7B": [1415, 2533],
  "LLaMA-2-13B": [2100, 4743],
  "Qwen2-VL-7B": [458, 2570],
  "InternVL2-8B": [3584],
} as const;

export interface HiddenSinkOptions {
  /** Channels to look at: see `SINK_DIMENSIONS`. */
  readonly dims: readonly number[];
  /** Above which φ a token is a sink. Default 20. φ is at most √channels, so a narrow model needs less. */
  readonly tau?: number;
  /** Added to the mean square. Default 1e-6. */
  readonly epsilon?: number;
}

/**
 * φ(x) = max over some channels of |x_d| / RMS(x), of each token's hidden state at the block's input (VAR, arXiv 2503.03321).
 *
 * @param hidden [tokens, channels]
 * @throws AttentionError "shape" for channels that do not fit.
 */
export function hiddenSinkScores(
  hidden: ArrayLike<number>,
  channels: number,
  { dims, epsilon = 1e-6 }: Pick<HiddenSinkOptions, "dims" | "epsilon">,
): Float64Array {
  checkInteger("channels", channels, 1);
  if (hidden.length % channels !== 0)
    fail("shape", "hidden", `a multiple of ${channels} values`, hidden.length, "Give [tokens, channels].");
  if (dims.length === 0) fail("shape", "dims", "at least one channel", "none", "See SINK_DIMENSIONS.");
  for (const [index, dim] of dims.entries()) {
    checkInteger(`dims[${index}]`, dim, 0);
    if (dim >= channels)
      fail("shape", `dims[${index}]`, `less than the ${channels} channels`, dim, "Correct it.");
  }
  return Float64Array.from({ length: hidden.length / channels }, (_, token) => {
    let squares = 0;
    for (let d = 0; d < channels; d++) squares += hidden[token * channels + d]! ** 2;
    const largest = Math.max(...dims.map((d) => Math.abs(hidden[token * channels + d]!)));
    return largest / Math.sqrt(squares / channels + epsilon);
  });
}

/**
 * Attention sinks by their hidden states: φ above tau, tau itself not included. Found once, at the prefill.
 *
 * @returns ascending token indices
 */
export function hiddenSinks(
  hidden: ArrayLike<number>,
  channels: number,
  options: HiddenSinkOptions,
): number[] {
  checkKnown("hiddenSinks", options, ["dims", "tau", "epsilon"]);
  const { tau = 20 } = options;
  checkWithin("tau", tau, 0);
  const scores = hiddenSinkScores(hidden, channels, options);
  return Array.from(scores).flatMap((score, token) => (score > tau ? [token] : []));
}
