import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import { generate, type TextPieces } from "./generation/generate.js";
import type { GeneratedPiece, GenerateOptions } from "./generation/options.js";
import { type LoadCheckpointOptions, loadAccepted } from "./load-checkpoint.js";
import { type CacheWindow, forget } from "./model/cache-window.js";
import { describePass, type PassDescription } from "./model/describe-pass.js";
import { LanguagePasses } from "./model/language-passes.js";
import { checkPositions, checkRoom } from "./model/room.js";
import { runAndRead } from "./model/run-and-read.js";
import { type CacheDType, SequenceState } from "./model/sequence-state.js";
import { Workspace } from "./model/workspace.js";
import { type ModelSource, modelFiles } from "./sources/model-files.js";
import { throwIfAborted } from "./sources/source-errors.js";
import { loadTokenizer } from "./tokenizer/load-tokenizer.js";
import type { TextTokenizer } from "./tokenizer/text-tokenizer.js";
import type { ModelWeights } from "./weights/model-weights.js";

export interface PassOptions {
  /** Look into the pass and change it. Default none. */
  readonly hooks?: readonly AttentionHook[];
  readonly signal?: AbortSignal;
}

export interface PrefillOptions extends PassOptions {
  readonly onProgress?: (done: number, total: number) => void;
  /** How the cache forgets. Default: it has room for all. */
  readonly window?: CacheWindow;
}

/** Tokens that one pass takes at most: longer prompts go through in pieces, so that buffers stay small and dispatches short. */
const PIECE = 128;
/** Capacities are multiples of it: few different ones need few different passes. */
const CAPACITY_STEP = 64;

/**
 * A decoder language model on the GPU: softmax, lightning, flow and mixture-of-head attention in any layer.
 *
 * Passes of one model share buffers; they may be asked for side by side and run one after the other.
 */
export class LanguageModel {
  readonly ctx: AttentionContext;
  readonly config: ModelConfig;
  /** Absent where the model came without one. */
  readonly tokenizer: TextTokenizer | undefined;
  readonly #weights: ModelWeights;
  readonly #work: Workspace;
  /** @internal */
  readonly passes: LanguagePasses;

  private constructor(
    ctx: AttentionContext,
    config: ModelConfig,
    weights: ModelWeights,
    tokenizer: TextTokenizer | undefined,
  ) {
    this.ctx = ctx;
    this.config = config;
    this.tokenizer = tokenizer;
    this.#weights = weights;
    this.#work = new Workspace(ctx);
    this.passes = new LanguagePasses({ ctx, config, weights, work: this.#work });
  }

  /**
   * Loads a language model, and its tokenizer where there is a `tokenizer.json`.
   *
   * @throws AttentionError as `loadCheckpoint` and `loadTokenizer`; "unsupported" for models that are no language models
   */
  static async load(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadCheckpointOptions = {},
  ): Promise<LanguageModel> {
    const files = await modelFiles(source, options);
    const hasTokenizer = await files.open("tokenizer.json", options.signal);
    await hasTokenizer?.close?.();
    const { config, weights } = await loadAccepted(ctx, files, options, checkLanguage);
    try {
      const tokenizer = hasTokenizer && (await loadTokenizer(files, pickSignal(options)));
      return new LanguageModel(ctx, config, weights, tokenizer);
    } catch (error) {
      weights.destroy();
      throw error;
    }
  }

  /** Bytes of GPU memory: weights, and what passes hand from step to step. Sequences' own states are not counted. */
  get bytes(): number {
    return this.#weights.bytes + this.#work.bytes;
  }

  /** Sequences without tokens. Belongs to the caller: `destroy()` it. */
  createState(options: {
    readonly batches?: number;
    readonly capacity: number;
    readonly dtype?: CacheDType;
  }): SequenceState {
    const { batches = 1, capacity, dtype = "f32" } = options;
    return SequenceState.create(this.ctx, this.config, { batches, capacity: rounded(capacity), dtype });
  }

  /**
   * Logits of the token after each, without a cache.
   *
   * @param ids of one sequence
   * @returns [tokens, vocabulary]
   * @throws AttentionError "shape" for ids that the model has not, "aborted", "disposed", "device-lost"
   */
  async logits(ids: ArrayLike<number>, options: PassOptions = {}): Promise<Float32Array> {
    checkKnown("logits", options, ["hooks", "signal"]);
    this.checkIds("ids", ids);
    throwIfAborted("language model", options.signal);
    checkPositions(this.config, ids.length);
    const { value: pass, release } = await this.passes.lease({
      ...{ tokens: ids.length, logitsOf: "all", phase: "prefill" },
      ...{ hooks: options.hooks ?? [], context: ids.length },
    });
    try {
      const [logits] = await runAndRead(this.ctx, [pass.forward.logits!], (encoder) => {
        this.ctx.device.queue.writeBuffer(pass.ids, 0, Uint32Array.from(ids));
        pass.forward.record(encoder, undefined);
      });
      return logits!;
    } finally {
      release();
    }
  }

  /**
   * Takes tokens into a state of one sequence, in pieces.
   *
   * @throws AttentionError "shape" when they do not fit or are none of the model's, or the state has several sequences, "aborted" between
   * pieces, "disposed", "device-lost"
   */
  async prefill(state: SequenceState, ids: ArrayLike<number>, options: PrefillOptions = {}): Promise<void> {
    checkKnown("prefill", options, ["hooks", "signal", "onProgress", "window"]);
    const { hooks = [], signal, onProgress, window } = options;
    if (ids.length === 0) return;
    this.checkIds("ids", ids);
    if (state.batches !== 1) throw severalSequences(state.batches);
    const all = Uint32Array.from(ids);
    const context = state.lengths[0]! + all.length;
    checkPositions(this.config, context);
    if (!window) checkRoom({ lengths: [context], capacity: state.capacity });
    // Each token of a piece sees those that were there before the piece: it is small beside the window.
    const piece = window ? Math.max(1, Math.min(PIECE, Math.floor(window.window / 4))) : PIECE;
    for (let done = 0; done < all.length; ) {
      throwIfAborted("prefill", signal);
      const tokens = Math.min(piece, all.length - done);
      const shape = { tokens, logitsOf: "none", phase: "prefill", hooks, context } as const;
      const { value: pass, release } = await this.passes.lease(shape, state);
      try {
        this.ctx.device.queue.writeBuffer(pass.ids, 0, all, done, tokens);
        this.passes.run(pass, state, {
          before: (encoder) => window && forget(state, encoder, tokens, window),
        });
      } finally {
        release();
      }
      done += tokens;
      // What is reported as done is, and a signal stops what comes.
      await this.ctx.device.queue.onSubmittedWorkDone();
      onProgress?.(done, all.length);
    }
  }

  /**
   * What reading more tokens into a state takes, as the plans say; compiles the pass where that was not done before, and reads nothing.
   *
   * @param tokens of each sequence; one is a decode step
   * @throws AttentionError "shape" for a count of tokens that is none, "unsupported", "limit", "disposed", "device-lost"
   */
  describePass(state: SequenceState, tokens = 1): Promise<PassDescription> {
    return describePass(this.passes, state, tokens);
  }

  /**
   * Continues a prompt, or several at once, token by token: an iterator over pieces, which may be left at any time.
   *
   * @param prompts one text or list of ids, or several; a text is encoded as the model's tokenizer does it
   * @throws AttentionError "shape" or "unsupported" for prompts and options that are none, "aborted", "disposed", "device-lost"
   */
  generate(
    prompts: Prompt | readonly Prompt[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedPiece, void, undefined> {
    const several = isPrompt(prompts) ? [prompts] : prompts;
    const ids = several.map((prompt) => (typeof prompt === "string" ? this.#encode(prompt) : prompt));
    return generate(this, ids, () => this.tokenizer?.stream() ?? NO_TEXT, options);
  }

  #encode(text: string): number[] {
    if (!this.tokenizer)
      throw new AttentionError("unsupported", {
        subject: "prompt",
        expected: "token ids: the model came without a tokenizer.json",
        got: "a text",
        fix: "Place the tokenizer beside the weights, or encode the text yourself.",
      });
    const ids = this.tokenizer.encode(text);
    const { bos } = this.config.tokens!;
    return ids.length === 0 && bos !== undefined ? [bos] : ids;
  }

  /** @throws AttentionError "shape" for anything but ids of the vocabulary, at least one */
  checkIds(subject: string, ids: ArrayLike<number>): void {
    const { vocabulary } = this.config.tokens!;
    const wrong = Array.from(ids).findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary));
    if (ids.length > 0 && wrong < 0) return;
    throw new AttentionError("shape", {
      subject: wrong < 0 ? subject : `${subject}[${wrong}]`,
      expected: wrong < 0 ? "at least one token" : `an integer from 0 to ${vocabulary - 1}`,
      got: wrong < 0 ? "none" : String(ids[wrong]),
      fix: "Encode the text with this model's own tokenizer.",
    });
  }

  destroy(): void {
    this.passes.destroy();
    this.#work.destroy();
    this.#weights.destroy();
  }
}

/** A text, or token ids. */
export type Prompt = string | ArrayLike<number>;

/** Ids of one sequence are numbers, of several lists. */
function isPrompt(prompts: Prompt | readonly Prompt[]): prompts is Prompt {
  return typeof prompts === "string" || prompts.length === 0 || typeof prompts[0] === "number";
}

function checkLanguage({ tokens, head, architecture }: ModelConfig): void {
  if (tokens && head.kind === "language") return;
  throw new AttentionError("unsupported", {
    subject: architecture,
    expected: "a language model",
    got: `a model whose head is "${head.kind}"`,
    fix: "Load it as what it is.",
  });
}

function pickSignal({ signal }: LoadCheckpointOptions): Pick<LoadCheckpointOptions, "signal"> {
  return signal ? { signal } : {};
}

/** Where there is no tokenizer. */
const NO_TEXT: TextPieces = { push: () => "", end: () => "" };

/** Room for so many tokens, and a few more. */
function rounded(capacity: number): number {
  return CAPACITY_STEP * Math.ceil(capacity / CAPACITY_STEP);
}

function severalSequences(count: number): AttentionError {
  return new AttentionError("shape", {
    subject: "state",
    expected: "one sequence",
    got: `${count}`,
    fix: "Read prompts into states of their own, and join these.",
  });
}
