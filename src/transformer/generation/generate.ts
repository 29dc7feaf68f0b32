import type { LanguageModel } from "../language-model.js";
import { throwIfAborted } from "../sources/source-errors.js";
import { topCandidates } from "./candidates.js";
import { Decoding } from "./decoding.js";
import { checkGenerate, type GeneratedPiece, type GenerateOptions } from "./options.js";
import type { EncodedPrompt } from "./prompts.js";
import { StopText } from "./stop-text.js";

/** Text of ids that come one by one; a piece is never half a character. */
interface TextPieces {
  push(id: number): string;
  /** What is left when nothing more comes. */
  end(): string;
}

/** Steps that the GPU is ahead of what has been read: it computes the next token while the last one comes back. */
const AHEAD = 2;

/** Continues prompts, all at once, token by token. Tokens are chosen on the GPU, which feeds them to the next step itself. */
export async function* generate(
  model: LanguageModel,
  prompts: readonly EncodedPrompt[],
  options: GenerateOptions,
): AsyncGenerator<GeneratedPiece, void, undefined> {
  checkGenerate(options, model.config, prompts.length);
  const { maxTokens = 128, signal, onToken, candidates = 0, state } = options;
  const sequences = prompts.map((prompt, index) => new Sequence(index, prompt, model, options));
  throwIfAborted("generate", signal);
  const release = state?.take(model.config);
  try {
    const ids = prompts.map((prompt) => prompt.ids);
    const decoding = await Decoding.begin(model, ids, AHEAD, options);
    let read = 0;
    try {
      while (read < maxTokens) {
        throwIfAborted("generate", signal);
        while (decoding.waiting < AHEAD && decoding.steps < maxTokens) await decoding.step();
        const { ids: chosen, logits } = await decoding.next();
        read++;
        const writing = sequences.filter(({ isFinished }) => !isFinished);
        for (const sequence of writing) {
          const found = sequence.push(chosen[sequence.index]!, read === maxTokens);
          const piece =
            candidates > 0 ? { ...found, candidates: rated(logits, found, candidates, model) } : found;
          onToken?.(piece);
          yield piece;
        }
        if (sequences.every(({ isFinished }) => isFinished)) return;
        for (const { index, isFinished } of writing) if (isFinished) await decoding.leave(index, read);
      }
    } finally {
      decoding.end(read);
    }
  } finally {
    release?.();
  }
}

function rated(logits: Float32Array, { sequence }: GeneratedPiece, count: number, { config }: LanguageModel) {
  const { vocabulary } = config.tokens!;
  return topCandidates(logits.subarray(sequence * vocabulary, (sequence + 1) * vocabulary), count);
}

/** Where there is no tokenizer. */
const NO_TEXT: TextPieces = { push: () => "", end: () => "" };

/** What becomes of one prompt. */
class Sequence {
  readonly index: number;
  isFinished = false;
  readonly #text: TextPieces;
  readonly #stop: StopText;
  readonly #stopIds: ReadonlySet<number>;

  constructor(
    index: number,
    { ids, goesOn }: EncodedPrompt,
    model: LanguageModel,
    { stop = [], stopIds }: GenerateOptions,
  ) {
    this.index = index;
    this.#text = model.tokenizer?.stream(goesOn ? { after: ids } : {}) ?? NO_TEXT;
    this.#stop = new StopText(typeof stop === "string" ? [stop] : stop);
    this.#stopIds = new Set(stopIds ?? model.config.tokens!.eos);
  }

  push(id: number, isLast: boolean): GeneratedPiece {
    const ends = this.#stopIds.has(id);
    let text = ends ? "" : this.#stop.push(this.#text.push(id));
    const finished = ends || this.#stop.stopped ? "stop" : isLast ? "length" : undefined;
    if (finished) {
      this.isFinished = true;
      text += this.#stop.push(this.#text.end()) + this.#stop.end();
    }
    return { sequence: this.index, id, text, ...(finished && { finished }) };
  }
}
