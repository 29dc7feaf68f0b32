import type { AttentionHook } from "webgpu-attention/hooks";
import type { LanguageModel } from "webgpu-attention/transformer";
import { randomSource } from "../../test/support/random.js";
import { sum } from "./figures.js";
import { heldOutText } from "./texts.js";

/** Tokens of the held-out book that its training watched: left alone. */
const WATCHED = 20_000;

/** Tokens of the held-out book that nothing was chosen by. */
export function heldOutTokens(model: LanguageModel): number[] {
  return model.tokenizer!.encode(heldOutText(), { specialTokens: false }).slice(WATCHED);
}

/** `count` of the integers below `end`, in random order. */
export function drawn(count: number, end: number, random: () => number): number[] {
  if (count > end) throw new Error(`${count} of ${end}`);
  const places = Array.from({ length: end }, (_, place) => place);
  for (let n = 0; n < count; n++) {
    const other = n + Math.floor(random() * (end - n));
    [places[n], places[other]] = [places[other]!, places[n]!];
  }
  return places.slice(0, count);
}

/** Passages of a text that do not overlap, from random places. */
export function passagesOf(ids: readonly number[], count: number, tokens: number, seed: number): number[][] {
  const slots = Math.floor(ids.length / tokens);
  return drawn(count, slots, randomSource(seed)).map((slot) => ids.slice(slot * tokens, (slot + 1) * tokens));
}

/** What a model reads to predict each token of a passage: the begin token, and all but the last. */
export function inputOf(model: LanguageModel, passage: readonly number[]): number[] {
  return [model.config.tokens!.bos!, ...passage.slice(0, -1)];
}

/** -log2 of the probability of each target. @param logits [targets, vocabulary] */
export function surprisals(logits: Float32Array, targets: readonly number[]): Float64Array {
  const vocabulary = logits.length / targets.length;
  return Float64Array.from(targets, (target, row) => {
    const first = row * vocabulary;
    let largest = Number.NEGATIVE_INFINITY;
    for (let n = 0; n < vocabulary; n++) largest = Math.max(largest, logits[first + n]!);
    let total = 0;
    for (let n = 0; n < vocabulary; n++) total += Math.exp(logits[first + n]! - largest);
    return (largest + Math.log(total) - logits[first + target]!) / Math.LN2;
  });
}

/** Bits of each token of a passage, read from the begin token on. */
export async function bitsOf(
  model: LanguageModel,
  passage: readonly number[],
  hooks: readonly AttentionHook[] = [],
): Promise<Float64Array> {
  return surprisals(await model.logits(inputOf(model, passage), { hooks }), passage);
}

/** Bytes of a passage in UTF-8. */
export function bytesOf(model: LanguageModel, passage: readonly number[]): number {
  return new TextEncoder().encode(model.tokenizer!.decode(passage)).length;
}

/** Bits per byte of passages, each read by itself. */
export async function bitsPerByte(
  model: LanguageModel,
  passages: readonly (readonly number[])[],
  hooks: readonly AttentionHook[] = [],
): Promise<number> {
  let [bits, bytes] = [0, 0];
  for (const passage of passages) {
    bits += sum(await bitsOf(model, passage, hooks));
    bytes += bytesOf(model, passage);
  }
  return bits / bytes;
}
