import { checkFinite, checkInteger, checkKnown, checkWithin, fail } from "../check.js";
import { descending, shareOf } from "../rank.js";
import { checkResumed, numberProblem, runTrials, type TrialValues } from "./trials.js";

const NAME = "attentionInfluence";

/**
 * (L_masked − L_base) / L_base: by what share the loss of a text grows when heads are masked (arXiv 2505.07293, equation 2).
 * Losses are means over the tokens, so that texts of different lengths compare.
 *
 * @throws AttentionError "shape" for losses that are not finite, or a base of 0 or less.
 */
export function relativeLoss(base: number, masked: number): number {
  checkWithin("base", base, Number.MIN_VALUE);
  checkWithin("masked", masked, Number.NEGATIVE_INFINITY);
  return (masked - base) / base;
}

export interface AttentionInfluenceOptions {
  /** How many texts. */
  readonly texts: number;
  /** Mean cross entropy per token of a text, with the heads in question masked (uniform attention) or not. */
  readonly loss: (text: number, masked: boolean) => number | Promise<number>;
  readonly signal?: AbortSignal;
  /** After each evaluation; `snapshot()` is a state to resume from, plain JSON. */
  readonly onProgress?: (progress: AttentionInfluenceProgress) => void;
  /** A snapshot of an earlier run: what it holds is not evaluated again. */
  readonly resume?: AttentionInfluenceState;
}

export interface AttentionInfluenceProgress {
  readonly done: number;
  readonly total: number;
  /** Costs a copy of all results so far. */
  readonly snapshot: () => AttentionInfluenceState;
}

/** Plain JSON. */
export interface AttentionInfluenceState {
  readonly search: typeof NAME;
  readonly settings: { readonly texts: number };
  /** Of each text: its loss as it is, and masked. */
  readonly values: readonly (readonly number[])[];
}

/**
 * Scores texts by how much a model needs its retrieval heads for them (AttentionInfluence, arXiv 2505.07293). Scores compare
 * within a domain only: see `influentialTexts`.
 *
 * @returns `relativeLoss` of each text
 * @throws AttentionError "shape" for settings or losses that do not fit, "format" for a state made with other settings,
 * "aborted" when the signal fired. Whatever the callback throws is passed on.
 */
export async function attentionInfluence(options: AttentionInfluenceOptions): Promise<Float64Array> {
  checkKnown(NAME, options, ["texts", "loss", "signal", "onProgress", "resume"]);
  const { texts, loss, signal, onProgress, resume } = options;
  checkInteger("texts", texts, 1);
  const settings = { texts };
  if (resume) checkResumed(NAME, resume, settings, resume.values);
  const values: TrialValues<number> = (resume?.values ?? []).map((losses) => [...losses]);
  await runTrials(
    {
      count: texts,
      samples: 2,
      evaluate: (text, sample) => loss(text, sample === 1),
      problemOf: numberProblem,
      signal,
      onStep: (text, sample) =>
        onProgress?.({
          done: text * 2 + sample + 1,
          total: texts * 2,
          snapshot: () => structuredClone({ search: NAME, settings, values }),
        }),
    },
    values,
  );
  return Float64Array.from(values, ([base, masked]) => relativeLoss(base!, masked!));
}

/**
 * The texts with the highest scores, a share of each domain (rounded up), best first within a domain, domains in the order in
 * which they first appear.
 *
 * @param domains [texts] names; default one domain
 * @param share default 0.2
 */
export function influentialTexts(
  scores: ArrayLike<number>,
  { domains, share = 0.2 }: { readonly domains?: readonly string[]; readonly share?: number } = {},
): number[] {
  checkFinite("scores", scores);
  checkWithin("share", share, 0, 1);
  if (domains && domains.length !== scores.length)
    fail("shape", "domains", `${scores.length} names`, domains.length, "Name the domain of each text.");
  const groups = new Map<string, number[]>();
  for (let text = 0; text < scores.length; text++) {
    const domain = domains?.[text] ?? "";
    const group = groups.get(domain);
    if (group) group.push(text);
    else groups.set(domain, [text]);
  }
  return [...groups.values()].flatMap((group) =>
    descending(scores, group).slice(0, shareOf(share, group.length)),
  );
}
