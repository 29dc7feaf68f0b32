import { checkFinite, checkInteger, checkKnown, checkLength, checkWithin } from "../check.js";
import { type Head, sortedHeads } from "./head.js";
import { checkResumed, meansOf, numberProblem, runTrials, type TrialValues } from "./trials.js";

const NAME = "chooseHeads";

export interface ChooseHeadsOptions {
  readonly candidates: readonly Head[];
  /** Held-out samples, or parts of them (tasks). Default 1. */
  readonly samples?: number;
  /** [samples] how much each counts in the average, for instance the questions of a task. Default equally. */
  readonly weights?: readonly number[];
  /** How good the model is at this sample with these heads calibrated: none, for the baseline, or one. */
  readonly objective: (heads: readonly Head[], sample: number) => number | Promise<number>;
  /** A head is kept if it raises the average by more than this. Default 0. */
  readonly minGain?: number;
  readonly signal?: AbortSignal;
  /** After each evaluation; `snapshot()` is a state to resume from, plain JSON. */
  readonly onProgress?: (progress: ChooseHeadsProgress) => void;
  /** A snapshot of an earlier run: what it holds is not evaluated again. */
  readonly resume?: ChooseHeadsState;
}

export interface ChooseHeadsProgress {
  readonly done: number;
  readonly total: number;
  /** Costs a copy of all results so far. */
  readonly snapshot: () => ChooseHeadsState;
}

/** Plain JSON. */
export interface ChooseHeadsState {
  readonly search: typeof NAME;
  readonly settings: { readonly candidates: readonly Head[]; readonly samples: number };
  /** `values[0]` is the baseline's, `values[1 + c]` those of candidate c; of each sample. */
  readonly values: readonly (readonly number[])[];
}

export interface ChooseHeadsResult {
  /** Those that raise the average, in (layer, head) order. */
  readonly heads: readonly Head[];
  /** The average without any. */
  readonly baseline: number;
  /** The average with one of them alone, in (layer, head) order of the candidates. */
  readonly scores: readonly { readonly head: Head; readonly score: number }[];
  /** `values[0]` is the baseline's, `values[1 + c]` those of candidate c; of each sample, to look at tasks one by one. */
  readonly values: readonly (readonly number[])[];
}

/**
 * The offline choice of heads of attention calibration (ACT, arXiv 2406.15765): each head is changed alone, and kept if that
 * raises the average over held-out samples. Costs `(1 + candidates) · samples` evaluations.
 *
 * @throws AttentionError "shape" for settings that do not fit or an objective that is not a finite number, "format" for a
 * state made with other settings, "aborted" when the signal fired. Whatever the objective throws is passed on.
 */
export async function chooseHeads(options: ChooseHeadsOptions): Promise<ChooseHeadsResult> {
  const known = [
    "candidates",
    "samples",
    "weights",
    "objective",
    "minGain",
    "signal",
    "onProgress",
    "resume",
  ];
  checkKnown(NAME, options, known);
  const { samples = 1, weights, objective, minGain = 0, signal, onProgress, resume } = options;
  const candidates = sortedHeads(options.candidates);
  checkInteger("samples", samples, 1);
  checkWithin("minGain", minGain, Number.NEGATIVE_INFINITY);
  if (weights) checkWeights(weights, samples);
  const settings = { candidates, samples };
  if (resume) checkResumed(NAME, resume, settings, resume.values);
  const values: TrialValues<number> = (resume?.values ?? []).map((results) => [...results]);
  const count = 1 + candidates.length;
  await runTrials(
    {
      count,
      samples,
      evaluate: (trial, sample) => objective(trial === 0 ? [] : [candidates[trial - 1]!], sample),
      problemOf: numberProblem,
      signal,
      onStep: (trial, sample) =>
        onProgress?.({
          done: trial * samples + sample + 1,
          total: count * samples,
          snapshot: () => structuredClone({ search: NAME, settings, values }),
        }),
    },
    values,
  );
  const [baseline, ...means] = meansOf(values, weights) as [number, ...number[]];
  const scores = candidates.map((head, index) => ({ head, score: means[index]! }));
  const heads = scores.filter(({ score }) => score - baseline > minGain).map(({ head }) => head);
  return { heads, baseline, scores, values };
}

function checkWeights(weights: readonly number[], samples: number): void {
  checkLength("weights", weights, samples, "one for each sample");
  checkFinite("weights", weights);
  for (const [index, weight] of weights.entries()) checkWithin(`weights[${index}]`, weight, 0);
  checkWithin(
    "sum of weights",
    weights.reduce((a, b) => a + b),
    Number.MIN_VALUE,
  );
}
