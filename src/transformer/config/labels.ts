import type { Fields } from "./fields.js";

/** Those of the largest classifiers are some ten thousands. */
const MOST_LABELS = 2 ** 18;

/** Names of classes by their number, from `id2label`, or `num_labels` of them without names. */
export function readLabels(fields: Fields): readonly string[] {
  const named = fields.object("id2label");
  if (!named) {
    const count = fields.size("num_labels", 2, 1, MOST_LABELS);
    return Array.from({ length: count }, (_, index) => `LABEL_${index}`);
  }
  const labels: string[] = [];
  while (named.has(String(labels.length))) labels.push(named.string(String(labels.length)));
  const count = Object.keys(fields.raw("id2label") as object).length;
  if (labels.length === count && count > 0) return labels;
  throw fields.wrong("id2label", `a name for each number from 0 to ${Math.max(count - 1, 0)}`);
}
