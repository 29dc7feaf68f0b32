import type { Values } from "../common/hash-values.js";
import type { Verdict } from "./diffusion-tasks.js";

/** Classes that the page can ask for, beside those of the model: one after another, or none. */
export const EACH = "each";
export const NONE = "none";

/** Class of each image. @param choice `EACH`, `NONE` or a class's number; what is none of the model's counts as `EACH` */
export function labelsOf(choice: string, images: number, classes: number): (number | null)[] {
  const label = Number(choice);
  const isClass = choice !== "" && Number.isInteger(label) && label >= 0 && label < classes;
  return Array.from({ length: images }, (_, n) => {
    if (choice === NONE) return null;
    return isClass ? label : n % classes;
  });
}

/** What is likeliest by a classifier's logits, and how likely. */
export function verdictOf(logits: Float32Array): Verdict {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return { label: logits.indexOf(largest), confidence: 1 / sum };
}

/** What verdicts come to, in a sentence. @param labels what was asked for */
export function summaryOf(labels: readonly (number | null)[], verdicts: readonly Verdict[]): string {
  const mean = verdicts.reduce((sum, { confidence }) => sum + confidence, 0) / verdicts.length;
  const sure = `The classifier is ${Math.round(100 * mean)} % sure on average.`;
  const asked = labels.flatMap((label, n) => (label === null ? [] : [label === verdicts[n]!.label]));
  if (asked.length === 0) return sure;
  const right = asked.filter(Boolean).length;
  return `${right} of ${asked.length} recognised as what was asked for. ${sure}`;
}

/** The page's fields, as a fresh page has them, but for those that depend on the model. */
export const INITIAL: Values = { label: EACH, count: "10", seed: "1", u: "0.5", w: "2", heads: "" };
