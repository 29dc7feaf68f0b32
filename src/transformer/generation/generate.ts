import type { LanguageModel } from "../language-model.js";
import { throwIfAborted } from "../sources/source-errors.js";
import { Decoding } from "./decoding.js";
import { checkGenerate, type GeneratedPiece, type GenerateOptions } from "./options.js";
import { StopText } from "./stop-text.js";

/** Text of ids that come one by one; a piece is never half a character. */
export interface TextPieces {
  push(id: number): string;
  /** What is left when nothing more comes. */
  end(): string;
}

/** Steps that the GPU is ahead of what has been read: it computes the next token while the last one comes back. */
const AHEAD = 2;

/**
 * Continues prompts, all at once, token by token. Tokens are chosen on the GPU, which feeds them to the next step itself.
 *
 * @param prompts ids of each, at least one
 * @param textOf makes a stream for each sequence
 */
export async function* generate(
  model: LanguageModel,
  prompts: readonly ArrayLike<number>[],
  textOf: () => TextPieces,
  options: GenerateOptions,
): AsyncGenerator<GeneratedPiece, void, undefined> {
  checkGenerate(options, model.config);
  prompts.forEach((ids, index) => {
    model.checkIds(`prompt ${index}`, ids);
  });
  const { maxTokens = 128, signal, onToken } = options;
  const sequences = prompts.map(
    (_, index) => new Sequence(index, textOf(), options, model.config.tokens!.eos),
  );
  throwIfAborted("generate", signal);
  const decoding = await Decoding.begin(model, prompts, AHEAD, options);
  try {
    for (let read = 0; read < maxTokens; read++) {
      throwIfAborted("generate", signal);
      while (decoding.waiting < AHEAD && decoding.steps < maxTokens) await decoding.step();
      const ids = await decoding.next();
      for (const sequence of sequences) {
        if (sequence.isFinished) continue;
        const piece = sequence.push(ids[sequence.index]!, read + 1 === maxTokens);
        onToken?.(piece);
        yield piece;
      }
      if (sequences.every(({ isFinished }) => isFinished)) return;
    }
  } finally {
    decoding.destroy();
  }
}

/** What becomes of one prompt. */
class Sequence {
  readonly index: number;
  isFinished = false;
  readonly #text: TextPieces;
  readonly #stop: StopText;
  readonly #stopIds: ReadonlySet<number>;

  constructor(
    index: number,
    text: TextPieces,
    { stop = [], stopIds }: GenerateOptions,
    eos: readonly number[],
  ) {
    this.index = index;
    this.#text = text;
    this.#stop = new StopText(typeof stop === "string" ? [stop] : stop);
    this.#stopIds = new Set(stopIds ?? eos);
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
