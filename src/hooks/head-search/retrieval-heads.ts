import { checkFinite, checkInteger, checkKnown, checkLength, checkWithin, fail } from "../check.js";
import { descending, shareOf } from "../rank.js";
import { type Head, sortedHeads } from "./head.js";
import { checkResumed, runTrials, type TrialValues } from "./trials.js";

const NAME = "retrievalHeads";

export interface CopiedTokens {
  /** Tokens of the prompt and of what was generated after it. */
  readonly tokens: ArrayLike<number>;
  /** The key with the largest weight, for each generated token: of the query that stands where the token stands. */
  readonly argmaxKeys: ArrayLike<number>;
  /** Tokens that the answer consists of. */
  readonly answer: ArrayLike<number>;
}

/**
 * The share of the answer that a head copies (retrieval score; arXiv 2505.07293, section 2). The head copies a generated
 * token w if the key with its largest weight lies before it, holds w, and w belongs to the answer k:
 * |copied ∩ k| / |k|, both as sets.
 *
 * The generated tokens are the last `argmaxKeys.length` of `tokens`.
 *
 * @throws AttentionError "shape" for an empty answer, or more keys than tokens.
 */
export function copiedTokenScore({ tokens, argmaxKeys, answer }: CopiedTokens): number {
  const wanted = new Set(Array.from(answer));
  if (wanted.size === 0) fail("shape", "answer", "at least one token", "none", "Leave this sample out.");
  const prompt = tokens.length - argmaxKeys.length;
  if (prompt < 0) {
    const got = `${argmaxKeys.length} keys for ${tokens.length} tokens`;
    fail("shape", "argmaxKeys", "one key for each generated token", got, "Give tokens with the prompt.");
  }
  const copied = new Set<number>();
  for (let step = 0; step < argmaxKeys.length; step++) {
    const position = prompt + step;
    const key = argmaxKeys[step]!;
    const token = tokens[position]!;
    if (key >= 0 && key < position && tokens[key] === token && wanted.has(token)) copied.add(token);
  }
  return copied.size / wanted.size;
}

export interface RetrievalHeadsOptions {
  readonly candidates: readonly Head[];
  /** Retrieval tasks. Default 1; published 800. */
  readonly samples?: number;
  /** Runs a sample once and scores each candidate, in the order in which they are given here: see `copiedTokenScore`. */
  readonly observe: (
    candidates: readonly Head[],
    sample: number,
  ) => ArrayLike<number> | Promise<ArrayLike<number>>;
  /** The share of heads to take, rounded up. Default 0.05. */
  readonly share?: number;
  readonly signal?: AbortSignal;
  /** After each sample; `snapshot()` is a state to resume from, plain JSON. */
  readonly onProgress?: (progress: RetrievalHeadsProgress) => void;
  /** A snapshot of an earlier run: what it holds is not evaluated again. */
  readonly resume?: RetrievalHeadsState;
}

export interface RetrievalHeadsProgress {
  readonly done: number;
  readonly total: number;
  /** Costs a copy of all results so far. */
  readonly snapshot: () => RetrievalHeadsState;
}

/** Plain JSON. */
export interface RetrievalHeadsState {
  readonly search: typeof NAME;
  readonly settings: { readonly candidates: readonly Head[]; readonly samples: number };
  /** Of each sample that is done, the scores of the candidates in (layer, head) order. */
  readonly values: readonly (readonly number[])[];
}

export interface RetrievalHeadsResult {
  /** The best share, best first. */
  readonly heads: readonly Head[];
  /** Means over the samples, in (layer, head) order of the candidates. */
  readonly scores: readonly { readonly head: Head; readonly score: number }[];
}

/**
 * Finds the heads that copy answers out of the prompt (AttentionInfluence, arXiv 2505.07293): scores averaged over samples, the
 * best 5 % of heads. Equal scores stand in (layer, head) order.
 *
 * @throws AttentionError "shape" for settings or scores that do not fit, "format" for a state made with other settings,
 * "aborted" when the signal fired. Whatever the callback throws is passed on.
 */
export async function retrievalHeads(options: RetrievalHeadsOptions): Promise<RetrievalHeadsResult> {
  checkKnown(NAME, options, ["candidates", "samples", "observe", "share", "signal", "onProgress", "resume"]);
  const { samples = 1, observe, share = 0.05, signal, onProgress, resume } = options;
  const candidates = sortedHeads(options.candidates);
  checkInteger("samples", samples, 1);
  checkWithin("share", share, 0, 1);
  const settings = { candidates, samples };
  if (resume) checkResumed(NAME, resume, settings, resume.values);
  const values: TrialValues<number[]> = [(resume?.values ?? []).map((scores) => [...scores])];
  await runTrials(
    {
      count: 1,
      samples,
      evaluate: async (_trial, sample) => {
        const scores = await observe(candidates, sample);
        checkLength(`scores of sample ${sample}`, scores, candidates.length, "one for each candidate");
        checkFinite(`scores of sample ${sample}`, scores);
        return Array.from(scores);
      },
      problemOf: () => undefined,
      signal,
      onStep: (_trial, sample) =>
        onProgress?.({
          done: sample + 1,
          total: samples,
          snapshot: () => structuredClone({ search: NAME, settings, values: values[0]! }),
        }),
    },
    values,
  );
  const means = candidates.map(
    (_, index) => values[0]!.reduce((total, scores) => total + scores[index]!, 0) / samples,
  );
  const best = descending(means).slice(0, shareOf(share, candidates.length));
  return {
    heads: best.map((index) => candidates[index]!),
    scores: candidates.map((head, index) => ({ head, score: means[index]! })),
  };
}
