import { checkInteger, checkKnown, fail } from "../check.js";
import { descending } from "../rank.js";
import { type Head, sortedHeads } from "./head.js";
import { checkResumed, meansOf, numberProblem, runTrials, type TrialValues } from "./trials.js";

const NAME = "headSearch";

export interface HeadSearchOptions {
  readonly candidates: readonly Head[];
  /** R. Default 1. */
  readonly rounds?: number;
  /** k, the heads that each round adds. Default 1. */
  readonly topK?: number;
  /** M, what the objective is averaged over: prompts, seeds. Default 1. */
  readonly samples?: number;
  /** How good the model is at this sample with the operation applied to these heads; the larger the better. */
  readonly objective: (heads: readonly Head[], sample: number) => number | Promise<number>;
  /** Checked before and after each evaluation. */
  readonly signal?: AbortSignal;
  /** After each evaluation; `snapshot()` is a state to resume from, plain JSON. */
  readonly onProgress?: (progress: HeadSearchProgress) => void;
  /** A snapshot of an earlier run: what it holds is not evaluated again. */
  readonly resume?: HeadSearchState;
}

export interface HeadSearchProgress {
  /** Evaluations done, those of a resumed state included. */
  readonly done: number;
  readonly total: number;
  /** Costs a copy of all results so far. */
  readonly snapshot: () => HeadSearchState;
}

/** Plain JSON. */
export interface HeadSearchState {
  readonly search: typeof NAME;
  readonly settings: HeadSearchSettings;
  readonly rounds: readonly HeadSearchRound[];
  /** Of the round that is not finished: results of each sample for each head that is left, in order. */
  readonly values: readonly (readonly number[])[];
}

interface HeadSearchSettings {
  readonly candidates: readonly Head[];
  readonly rounds: number;
  readonly topK: number;
  readonly samples: number;
}

export interface HeadSearchRound {
  /** One for each candidate in (layer, head) order: the mean objective with it added; null if it was chosen before. */
  readonly scores: readonly (number | null)[];
  /** Best first. */
  readonly chosen: readonly Head[];
}

export interface HeadSearchResult {
  /** All that were chosen, in the order of choice. */
  readonly heads: readonly Head[];
  readonly rounds: readonly HeadSearchRound[];
}

/**
 * HeadHunter's greedy search (arXiv 2506.10978, algorithm 1): in each of R rounds every remaining head is tried beside those
 * already chosen, and the k that score best are added. Equal scores stand in (layer, head) order.
 *
 * The cost is about `samples · candidates · rounds` evaluations, one at a time, the objective being what takes long. Published
 * settings: 576 heads, M = 20, R = 1, k = 24 for general quality of SD3; M = 5, R = 5, k = 3 for a style.
 *
 * @throws AttentionError "shape" for settings that do not fit or an objective that is not a finite number, "format" for a
 * state made with other settings, "aborted" when the signal fired. Whatever the objective throws is passed on.
 */
export async function headSearch(options: HeadSearchOptions): Promise<HeadSearchResult> {
  const settings = checkSettings(options);
  const { candidates, rounds: roundCount, topK, samples } = settings;
  const { objective, signal, onProgress, resume } = options;
  if (resume) checkResumed(NAME, resume, settings, resume.values);
  const rounds: HeadSearchRound[] = structuredClone([...(resume?.rounds ?? [])]);
  let values: TrialValues<number> = (resume?.values ?? []).map((results) => [...results]);
  const total = evaluations(settings, roundCount);

  while (rounds.length < roundCount) {
    const heads = rounds.flatMap(({ chosen }) => chosen);
    const left = candidates.flatMap((head, index) =>
      heads.some((other) => same(head, other)) ? [] : [index],
    );
    const doneBefore = evaluations(settings, rounds.length);
    await runTrials(
      {
        count: left.length,
        samples,
        evaluate: (trial, sample) => objective([...heads, candidates[left[trial]!]!], sample),
        problemOf: numberProblem,
        signal,
        onStep: (trial, sample) =>
          onProgress?.({
            done: doneBefore + trial * samples + sample + 1,
            total,
            snapshot: () => structuredClone({ search: NAME, settings, rounds, values }),
          }),
      },
      values,
    );
    const means = meansOf(values);
    const scores = candidates.map((_, index) => means[left.indexOf(index)] ?? null);
    const best = descending(means).slice(0, topK);
    rounds.push({ scores, chosen: best.map((trial) => candidates[left[trial]!]!) });
    values = [];
  }
  return { heads: rounds.flatMap(({ chosen }) => chosen), rounds };
}

function same(a: Head, b: Head): boolean {
  return a.layer === b.layer && a.head === b.head;
}

/** Evaluations of the first rounds. */
function evaluations({ candidates, topK, samples }: HeadSearchSettings, rounds: number): number {
  let count = 0;
  for (let round = 0; round < rounds; round++) count += (candidates.length - round * topK) * samples;
  return count;
}

function checkSettings(options: HeadSearchOptions): HeadSearchSettings {
  const known = ["candidates", "rounds", "topK", "samples", "objective", "signal", "onProgress", "resume"];
  checkKnown(NAME, options, known);
  const { rounds = 1, topK = 1, samples = 1 } = options;
  const candidates = sortedHeads(options.candidates);
  checkInteger("rounds", rounds, 1);
  checkInteger("topK", topK, 1);
  checkInteger("samples", samples, 1);
  if (rounds * topK > candidates.length) {
    const got = `${rounds} rounds of ${topK}`;
    fail("shape", "rounds · topK", `at most the ${candidates.length} candidates`, got, "Choose fewer heads.");
  }
  return { candidates, rounds, topK, samples };
}
