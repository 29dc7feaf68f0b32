import type { CopiedTokens } from "webgpu-attention/hooks";
import { randomSource } from "../../test/support/random.js";

/** A needle for a model that cannot answer questions: a segment that comes again, and can be told from its first time. */
export interface Needle {
  /** The begin token, the segment, the segment. */
  readonly tokens: readonly number[];
  readonly segment: readonly number[];
}

export function needleOf(begin: number, segment: readonly number[]): Needle {
  return { tokens: [begin, ...segment, ...segment], segment };
}

/** Tokens of the vocabulary but for the begin token 0, each as likely: what can only be copied. */
export function randomSegment(tokens: number, vocabulary: number, seed: number): number[] {
  const random = randomSource(seed);
  return Array.from({ length: tokens }, () => 1 + Math.floor(random() * (vocabulary - 1)));
}

/** Whose key says that a token is copied: that of the token itself, as arXiv 2505.07293 is read here, or of the one that predicts it. */
export type CopyingQuery = "own" | "predicting";

/**
 * What `copiedTokenScore` makes a head's retrieval score of, on a needle whose answer is given, not generated.
 *
 * @param argmaxKeys of each of its tokens, the key with the largest weight
 */
export function copiedTokens(
  { tokens, segment }: Needle,
  argmaxKeys: ArrayLike<number>,
  query: CopyingQuery,
): CopiedTokens {
  const second = tokens.length - segment.length;
  const first = query === "own" ? second : second - 1;
  const keys = Array.from(argmaxKeys).slice(first, first + segment.length);
  return { tokens, argmaxKeys: keys, answer: segment };
}
