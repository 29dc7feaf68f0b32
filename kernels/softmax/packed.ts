import { checkLength, expectEqual, fail, isBuffer } from "../../src/dispatch/check.js";
import { type TableCopy, tableCopy } from "../../src/dispatch/per-batch.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { SoftmaxOptions } from "./options.js";

/** Sequences of different lengths that lie behind each other in the token axis. */
export interface PackedSequences {
  readonly count: number;
  /** Offsets of query rows and keys, [count + 1], where they are known before they are on the GPU. */
  readonly known?: { readonly queries: readonly number[]; readonly keys: readonly number[] };
}

/** Query rows of the longest sequence, as far as that is known. */
export function longestSequence({ known }: PackedSequences): number {
  if (!known) return Number.POSITIVE_INFINITY;
  return known.queries.reduce((most, end, n) => Math.max(most, n === 0 ? 0 : end - known.queries[n - 1]!), 0);
}

/** Options that say for each batch entry, or of one offset, what packed sequences say for each sequence. */
const EXCLUDED = ["keyStarts", "keyLengths", "queryRows", "blockMask"] as const;

/** @throws AttentionError "shape" or "unsupported" */
export function packedSequences(
  options: SoftmaxOptions,
  [batches, , tokensQ, tokensK]: Shape4,
): PackedSequences | undefined {
  const { queryOffsets, keyOffsets } = options;
  if (queryOffsets === undefined && keyOffsets === undefined) return undefined;
  if (queryOffsets === undefined || keyOffsets === undefined)
    fail(
      "shape",
      queryOffsets === undefined ? "queryOffsets" : "keyOffsets",
      "offsets of queries and of keys",
      "one of the two",
      "Where queries and keys are of the same tokens, give the same offsets twice.",
    );
  expectEqual("q.shape[0] (batch)", batches, 1, "packed sequences lie behind each other in one batch entry");
  for (const name of EXCLUDED) {
    if (options[name] !== undefined)
      fail("unsupported", `${name} with queryOffsets`, "packed sequences without it", name, PACKED_FIX[name]);
  }
  if (options.queryOffset !== undefined && options.queryOffset !== "end")
    fail(
      "unsupported",
      "queryOffset with queryOffsets",
      '"end", or none: each sequence is aligned at its end',
      options.queryOffset,
      "Leave it out.",
    );
  const count = lengthOf("queryOffsets", queryOffsets) - 1;
  const keyCount = lengthOf("keyOffsets", keyOffsets) - 1;
  if (keyCount !== count)
    fail(
      "shape",
      "keyOffsets",
      `${count + 1} offsets, as many as queryOffsets`,
      keyCount + 1,
      "Both say where each sequence begins.",
    );
  const queries = isBuffer(queryOffsets) ? undefined : checkedOffsets("queryOffsets", queryOffsets, tokensQ);
  const keys = isBuffer(keyOffsets) ? undefined : checkedOffsets("keyOffsets", keyOffsets, tokensK);
  return { count, ...(queries && keys && { known: { queries, keys } }) };
}

const PACKED_FIX = {
  keyStarts: "keyOffsets says where the keys of each sequence begin.",
  keyLengths: "keyOffsets says where the keys of each sequence end.",
  queryRows: "Run the sequences as a padded batch.",
  blockMask: "A document mask with a block mask skips what other sequences have, without packing.",
} as const;

function lengthOf(name: string, offsets: ArrayLike<number> | GPUBuffer): number {
  const length = isBuffer(offsets) ? Math.floor(offsets.size / 4) : (offsets?.length ?? 0);
  if (!(length >= 2))
    fail(
      "shape",
      name,
      "the offsets of one sequence at least, and its end",
      `${length} numbers`,
      "Give [0, length].",
    );
  return length;
}

function checkedOffsets(name: string, offsets: ArrayLike<number>, tokens: number): number[] {
  checkLength(name, offsets, offsets.length, "");
  return Array.from(offsets, (value, n) => {
    const least = n === 0 ? 0 : offsets[n - 1]!;
    if (Number.isInteger(value) && value >= least && value <= tokens && (n > 0 || value === 0)) return value;
    return fail(
      "shape",
      `${name}[${n}]`,
      n === 0 ? "0" : `an integer from ${least} to ${tokens} (the number of tokens)`,
      value,
      "Offsets ascend; the last is the end of the last sequence.",
    );
  });
}

/** Puts offsets into `terms`: first keys, ends of keys, and query offsets from word `at` on. Returns what is copied at each run. */
export function fillOffsets(
  values: Uint32Array,
  { queryOffsets, keyOffsets }: SoftmaxOptions,
  { count }: PackedSequences,
  at: number,
): TableCopy[] {
  const copies: TableCopy[] = [];
  const put = (
    name: string,
    given: ArrayLike<number> | GPUBuffer,
    to: number,
    first: number,
    words: number,
  ) => {
    if (isBuffer(given)) copies.push(tableCopy(name, given, to, words, first));
    else for (let n = 0; n < words; n++) values[to + n] = given[first + n]!;
  };
  put("keyOffsets", keyOffsets!, 0, 0, count);
  put("keyOffsets", keyOffsets!, count, 1, count);
  put("queryOffsets", queryOffsets!, at, 0, count + 1);
  return copies;
}
