/** A token that might have come. */
export interface Candidate {
  readonly id: number;
  /** By the softmax of the model's logits, before any option of `sampling`. */
  readonly probability: number;
}

const LARGEST = 1e30;

/**
 * The most likely tokens, the likeliest first; of equal ones the lowest id.
 *
 * @param logits [vocabulary]; as where tokens are chosen, NaN and -infinity are never taken, and +infinity counts as 1e30
 */
export function topCandidates(logits: Float32Array, count: number): Candidate[] {
  const best: number[] = [];
  const value = (id: number) => {
    const logit = logits[id]!;
    return Number.isNaN(logit) ? Number.NEGATIVE_INFINITY : Math.min(logit, LARGEST);
  };
  for (let id = 0; id < logits.length; id++) {
    if (best.length === count && value(id) <= value(best[count - 1]!)) continue;
    let place = best.length;
    while (place > 0 && value(best[place - 1]!) < value(id)) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  const most = value(best[0]!);
  // Where none can be taken, none is likely.
  if (most === Number.NEGATIVE_INFINITY) return best.map((id) => ({ id, probability: 0 }));
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(value(id) - most);
  return best.map((id) => ({ id, probability: Math.exp(value(id) - most) / sum }));
}
