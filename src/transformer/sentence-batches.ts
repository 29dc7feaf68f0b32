/** Sentences that go through the model together. */
export interface SentenceBatch {
  /** Positions in the list that was given. */
  readonly indices: readonly number[];
  /** Tokens that every sentence is padded to. */
  readonly tokens: number;
}

/** Padded lengths are multiples of this: few different lengths need few plans, and the linear kernels work on 16 rows. */
const LENGTH_STEP = 16;

/**
 * Groups sentences of similar length, the shortest first. A batch has `batchSize` sentences, or at the end a power of two:
 * padding with empty sentences would cost as much as real ones, and any number would need a plan of its own.
 *
 * @param lengths tokens of each sentence
 */
export function batchByLength(lengths: readonly number[], batchSize: number): SentenceBatch[] {
  const order = lengths.map((_, index) => index).sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  const batches: SentenceBatch[] = [];
  for (let next = 0; next < order.length; ) {
    const left = order.length - next;
    const size = left >= batchSize ? batchSize : 2 ** Math.floor(Math.log2(left));
    const indices = order.slice(next, next + size);
    const longest = lengths[indices.at(-1)!]!;
    batches.push({ indices, tokens: Math.max(1, Math.ceil(longest / LENGTH_STEP)) * LENGTH_STEP });
    next += size;
  }
  return batches;
}
