/** What a classifier says of images that were made without a class in mind. */

import { mean } from "./figures.js";

/** The probability of the likeliest class. */
export function confidence(logits: ArrayLike<number>): number {
  const largest = Math.max(...Array.from(logits));
  return 1 / Array.from(logits, (logit) => Math.exp(logit - largest)).reduce((a, b) => a + b, 0);
}

/** The index of the largest of these numbers, the first of equals. */
export function likeliest(logits: ArrayLike<number>): number {
  const numbers = Array.from(logits);
  return numbers.indexOf(Math.max(...numbers));
}

/** How many classes images are spread over: 2 to the entropy of their classes, from 1 up to the number of classes. */
export function effectiveClasses(chosen: readonly number[]): number {
  const shares = [...new Set(chosen)].map((label) => mean(chosen.map((other) => Number(other === label))));
  return 2 ** -shares.reduce((total, share) => total + share * Math.log2(share), 0);
}
