import type { SamplingOptions } from "./sampling.js";

const MASKED = -1e38;

/** What stands around a row of logits. */
export interface SamplingPlace {
  /** Tokens before the one that is to be found. */
  readonly past?: ArrayLike<number>;
  /** Where that will stand in its sequence. */
  readonly position: number;
  readonly batch?: number;
}

/** The token that `planSampling` takes of one row of logits, in float64 by sorting. */
export function sampleReference(
  logits: ArrayLike<number>,
  options: SamplingOptions,
  { past = [], position, batch = 0 }: SamplingPlace,
): number {
  const values = penalised(logits, past, options);
  const order = [...values.keys()]
    .filter((id) => values[id]! > MASKED)
    .sort((a, b) => values[b]! - values[a]! || a - b);
  const { temperature = 0, seed = 0 } = options;
  if (order.length === 0) return 0;
  if (temperature === 0) return order[0]!;
  const best = values[order[0]!]!;
  const seeded = scrambled(
    (seed % 2 ** 32) ^ scrambled(Math.floor(seed / 2 ** 32) ^ scrambled(position ^ scrambled(batch))),
  );
  const score = (id: number) =>
    (values[id]! - best) / temperature -
    Math.log(exponential(scrambled(seeded ^ scrambled(id + 0x9e3779b9))));
  const kept = keptTokens(order, values, options).sort((a, b) => a - b);
  return kept.reduce((most, id) => (score(id) > score(most) ? id : most));
}

/** Of ids in the order of their logits, those that top-k, top-p and min-p leave. */
export function keptTokens(
  order: readonly number[],
  values: ArrayLike<number>,
  { temperature = 1, topK = order.length, topP = 1, minP = 0 }: SamplingOptions,
): number[] {
  const best = values[order[0]!]!;
  const share = (id: number) => Math.exp((values[id]! - best) / temperature);
  /** The first `count` of them, and what is as likely as the last. */
  const withTies = (ids: readonly number[], count: number) => {
    const last = values[ids[Math.min(count, ids.length) - 1]!]!;
    return ids.filter((id) => values[id]! >= last);
  };
  const first = withTies(order, topK);
  const wanted = topP * first.reduce((sum, id) => sum + share(id), 0);
  let [sum, count] = [0, 0];
  while (count < first.length && (count === 0 || sum < wanted)) sum += share(first[count++]!);
  const nucleus = topP < 1 ? withTies(first, count) : first;
  return nucleus.filter((id) => share(id) >= minP);
}

function penalised(
  logits: ArrayLike<number>,
  past: ArrayLike<number>,
  { repetitionPenalty = 1, repetitionWindow = past.length }: SamplingOptions,
): number[] {
  const seen = new Set(repetitionWindow === 0 ? [] : Array.from(past).slice(-repetitionWindow));
  return Array.from(logits, (logit, id) => {
    const value = Number.isNaN(logit) || logit <= MASKED ? MASKED : Math.min(1e30, Math.max(-1e30, logit));
    if (value === MASKED || !seen.has(id)) return value;
    return value > 0 ? value / repetitionPenalty : value * repetitionPenalty;
  });
}

/** The finaliser of MurmurHash3, as a u32. */
function scrambled(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function exponential(bits: number): number {
  return -Math.log1p(-((bits >>> 9) + 0.5) / 2 ** 23);
}
