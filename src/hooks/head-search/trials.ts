import { checkSignal, fail } from "../check.js";

/** Results so far: `values[trial][sample]`. Trials run in order, and samples in order within a trial. */
export type TrialValues<Value> = Value[][];

export interface Trials<Value> {
  readonly count: number;
  readonly samples: number;
  readonly evaluate: (trial: number, sample: number) => Value | Promise<Value>;
  /** Says what is wrong with a value, or nothing. */
  readonly problemOf: (value: Value) => string | undefined;
  readonly signal?: AbortSignal;
  /** After each evaluation. */
  readonly onStep?: (trial: number, sample: number) => void;
}

/** Runs what is not there yet, one evaluation at a time, into `values`. */
export async function runTrials<Value>(trials: Trials<Value>, values: TrialValues<Value>): Promise<void> {
  for (let trial = 0; trial < trials.count; trial++) {
    values[trial] ??= [];
    const results = values[trial]!;
    for (let sample = results.length; sample < trials.samples; sample++) {
      checkSignal("head search", trials.signal);
      const value = await evaluated(trials, trial, sample);
      const problem = trials.problemOf(value);
      if (problem !== undefined)
        fail("shape", `result of sample ${sample}`, "finite numbers", problem, "Correct the callback.");
      results.push(value);
      trials.onStep?.(trial, sample);
    }
  }
}

async function evaluated<Value>(trials: Trials<Value>, trial: number, sample: number): Promise<Value> {
  try {
    return await trials.evaluate(trial, sample);
  } finally {
    // A signal that fired meanwhile may be why the value is what it is, or why there is an error instead.
    checkSignal("head search", trials.signal);
  }
}

export function numberProblem(value: number): string | undefined {
  return Number.isFinite(value) ? undefined : String(value);
}

/** Means over the samples, weighted if asked for; NaN for a trial without values. */
export function meansOf(values: TrialValues<number>, weights?: readonly number[]): number[] {
  return values.map((results) => {
    let [total, weight] = [0, 0];
    for (const [sample, value] of results.entries()) {
      total += (weights?.[sample] ?? 1) * value;
      weight += weights?.[sample] ?? 1;
    }
    return total / weight;
  });
}

/** A state given back must have been made by the same search with the same settings, and hold numbers. */
export function checkResumed(
  name: string,
  state: { readonly search: string; readonly settings: object },
  settings: object,
  values: readonly (readonly number[])[],
): void {
  const fix = "Resume with the options that the state was made with, or start anew.";
  const [got, expected] = [JSON.stringify(state.settings), JSON.stringify(settings)];
  if (state.search !== name || got !== expected)
    fail("format", `resumed state of ${name}`, expected, `${String(state.search)} ${got}`, fix);
  const areNumbers =
    Array.isArray(values) &&
    values.every((results) => Array.isArray(results) && results.every(Number.isFinite));
  if (!areNumbers) fail("format", `resumed state of ${name}`, "arrays of numbers", "something else", fix);
}
