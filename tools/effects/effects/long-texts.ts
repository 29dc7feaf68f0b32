import { type CacheWindow, LanguageModel } from "webgpu-attention/transformer";
import type { EffectInput, EffectReport, Table } from "../effect.js";
import { spread, sum } from "../figures.js";
import { bitsOf, bytesOf, heldOutTokens, inputOf, passagesOf, surprisals } from "../passages.js";
import { repetition } from "../repetition.js";

interface Sizes {
  /** Tokens that a cache keeps: what the model was trained on. */
  readonly kept: number;
  /** Tokens of a passage, and passages a seed. */
  readonly tokens: number;
  readonly passages: number;
  /** By which recomputed windows move. */
  readonly stride: number;
  /** Tokens that are written. */
  readonly written: number;
}

const SIZES: Sizes = { kept: 512, tokens: 2048, passages: 1, stride: 256, written: 1024 };
const QUICK: Sizes = { kept: 64, tokens: 160, passages: 1, stride: 32, written: 6 };

const SINKS = [0, 1, 4];

const PROMPT = "It was a fine morning, and";
const SAMPLING = { temperature: 0.8, seed: 1 };

/** Texts longer than the model was trained on, with caches that keep sinks and a window (StreamingLLM, arXiv 2309.17453). */
export async function longTexts(input: EffectInput): Promise<EffectReport> {
  const { ctx, quick } = input;
  const sizes = quick ? QUICK : SIZES;
  const model = await LanguageModel.load(ctx, input.model("lm-softmax"), { dtype: "f32" });
  try {
    const read = await readingTable(model, sizes, input);
    const written = await writingTable(model, sizes, input);
    const { kept, tokens, passages, stride } = sizes;
    return {
      conditions:
        `${passages} passage${passages > 1 ? "s" : ""} of ${tokens} tokens of Persuasion a seed. Caches hold ${kept} tokens at most, sinks included, as many as ` +
        `the model was trained on, and drop ${kept / 16} at a time; positions count in the cache. Recomputed: windows of ${kept} that open with the begin token and move by ` +
        `${stride}, so that each token sees at least ${kept - stride}.`,
      tables: [read, written],
    };
  } finally {
    model.destroy();
  }
}

interface Policy {
  readonly name: string;
  /** Bits of each token of a passage. */
  readonly bits: (passage: readonly number[]) => Promise<Float64Array>;
}

async function readingTable(
  model: LanguageModel,
  { kept, tokens, passages, stride }: Sizes,
  { seeds, log }: EffectInput,
): Promise<Table> {
  const windows = SINKS.map((count) => cacheOf(kept, count));
  const policies: Policy[] = [
    { name: "all kept", bits: (passage) => cachedBits(model, passage) },
    ...windows.map((window) => ({
      name: policyName(window),
      bits: (passage: readonly number[]) => cachedBits(model, passage, window),
    })),
    { name: "recomputed", bits: (passage) => recomputedBits(model, passage, kept, stride) },
  ];
  const ids = heldOutTokens(model);
  const parts = Array.from({ length: Math.ceil(tokens / kept) }, (_, n) => n * kept);
  const rows: string[][] = [];
  for (const { name, bits } of policies) {
    const found: number[][] = [];
    for (const seed of seeds) {
      const totals = parts.map(() => ({ bits: 0, bytes: 0 }));
      for (const passage of passagesOf(ids, passages, tokens, seed)) {
        const each = await bits(passage);
        for (const [n, first] of parts.entries()) {
          totals[n]!.bits += sum(each.subarray(first, first + kept));
          totals[n]!.bytes += bytesOf(model, passage.slice(first, first + kept));
        }
      }
      found.push(totals.map((total) => total.bits / total.bytes));
      log(
        `${name}, seed ${seed}: ${found
          .at(-1)!
          .map((value) => value.toFixed(4))
          .join(" ")}`,
      );
    }
    rows.push([name, ...parts.map((_, n) => spread(found.map((values) => values[n]!)))]);
  }
  return {
    caption: "Bits per byte by position.",
    header: ["cache", ...parts.map((first) => `${first} to ${Math.min(first + kept, tokens)}`)],
    rows,
  };
}

/** A cache of so many tokens at most, a sixteenth of which are dropped at a time. */
function cacheOf(kept: number, sinks: number): CacheWindow {
  const evict = kept / 16;
  return { sinks, window: kept - sinks - evict + 1, evict };
}

function policyName({ sinks }: CacheWindow): string {
  return sinks === 0 ? "window alone" : `${sinks} sink${sinks === 1 ? "" : "s"} and window`;
}

/** Bits of each token of a passage that is read into a cache. */
async function cachedBits(
  model: LanguageModel,
  passage: readonly number[],
  window?: CacheWindow,
): Promise<Float64Array> {
  const state = await model.createState({ capacity: passage.length });
  try {
    const input = inputOf(model, passage);
    const logits = await model.prefill(state, input, { logitsOf: "all", ...(window && { window }) });
    return surprisals(logits, passage);
  } finally {
    state.destroy();
  }
}

/** Each token from a window of its own text alone, as `docs/checkpoints.md` evaluates. */
async function recomputedBits(
  model: LanguageModel,
  passage: readonly number[],
  kept: number,
  stride: number,
): Promise<Float64Array> {
  const bits = new Float64Array(passage.length);
  for (let end = 0; end < passage.length; ) {
    const first = end;
    end = Math.min(passage.length, end === 0 ? kept : end + stride);
    const begin = Math.max(0, end - kept);
    bits.set((await bitsOf(model, passage.slice(begin, end))).subarray(first - begin), first);
  }
  return bits;
}

async function writingTable(
  model: LanguageModel,
  { kept, written }: Sizes,
  { seeds, log }: EffectInput,
): Promise<Table> {
  const rows: string[][] = [];
  for (const sinkCount of [0, 4]) {
    const cache = cacheOf(kept, sinkCount);
    const texts = seeds.map((): number[] => []);
    // One batch: each entry has random numbers of its own.
    const options = { maxTokens: written, stopIds: [], cache, sampling: SAMPLING };
    for await (const { sequence, id } of model.generate(
      seeds.map(() => PROMPT),
      options,
    ))
      texts[sequence]!.push(id);
    for (const text of texts) log(`${policyName(cache)} ends: ${model.tokenizer!.decode(text.slice(-60))}`);
    const half = Math.floor(written / 2);
    const judged: number[][] = [];
    for (const text of texts) {
      const parts = [text.slice(0, half), text.slice(half)];
      const bits: number[] = [];
      for (const part of parts) bits.push(sum(await bitsOf(model, part)) / bytesOf(model, part));
      judged.push([...bits, ...parts.map((part) => repetition(part, 4))]);
    }
    rows.push([
      policyName(cache),
      ...[0, 1].map((part) => spread(judged.map((values) => values[part]!))),
      ...[2, 3].map((part) =>
        spread(
          judged.map((values) => values[part]!),
          { percent: true, digits: 1 },
        ),
      ),
    ]);
  }
  const half = Math.floor(written / 2);
  return {
    caption:
      `What it writes at temperature 0.8, ${written} tokens a text and as many texts as seeds, the first and the second half of them: bits per byte as the model itself judges a half ` +
      "that it reads by itself, and the share of its runs of four tokens that came before in the same half.",
    header: [
      "cache",
      `bits per byte, to ${half}`,
      `${half} to ${written}`,
      `repeated, to ${half}`,
      `${half} to ${written}`,
    ],
    rows,
  };
}
