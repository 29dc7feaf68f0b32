import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { checkHooks, checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import { generate } from "./generation/generate.js";
import type { GeneratedPiece, GenerateOptions } from "./generation/options.js";
import { encodePrompts, type Prompt } from "./generation/prompts.js";
import { type VerifyOptions, verify } from "./generation/verify.js";
import { type LoadCheckpointOptions, loadAccepted } from "./load-checkpoint.js";
import { type CacheWindow, checkWindow } from "./model/cache-window.js";
import { describePass, type PassDescription } from "./model/describe-pass.js";
import { LanguagePasses } from "./model/language-passes.js";
import type { CacheDType } from "./model/layer-state.js";
import { type LogitsOf, readTokens } from "./model/read-tokens.js";
import { checkPositions, roundedUp } from "./model/room.js";
import { runAndRead } from "./model/run-and-read.js";
import { SequenceState } from "./model/sequence-state.js";
import { Workspace } from "./model/workspace.js";
import { type ModelSource, modelFiles } from "./sources/model-files.js";
import { throwIfAborted } from "./sources/source-errors.js";
import { loadOwnTokenizer, type OwnTokenizer } from "./tokenizer/load-tokenizer.js";
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
  /** Of which tokens logits come back. Default `"last"`. */
  readonly logitsOf?: LogitsOf;
}

/** Without hooks, `logits()` takes texts of so many lengths alike: rows behind a text's end do not change those before. */
const LENGTH_STEP = 16;

/**
 * A decoder language model on the GPU: softmax, SALE, lightning, flow and mixture-of-head attention in any layer.
 *
 * Passes of one model share buffers; they may be asked for side by side and run one after the other.
 */
export class LanguageModel {
  readonly ctx: AttentionContext;
  readonly config: ModelConfig;
  /** Absent where the model came without one, or with one that cannot be read: `generate` then refuses texts, and says why. */
  readonly tokenizer: TextTokenizer | undefined;
  /** @internal Why the model's tokenizer could not be read. */
  readonly tokenizerRefusal: AttentionError | undefined;
  readonly #weights: ModelWeights;
  readonly #work: Workspace;
  /** @internal */
  readonly passes: LanguagePasses;

  private constructor(
    ctx: AttentionContext,
    config: ModelConfig,
    weights: ModelWeights,
    { tokenizer, refusal }: OwnTokenizer,
  ) {
    this.ctx = ctx;
    this.config = config;
    this.tokenizer = tokenizer;
    this.tokenizerRefusal = refusal;
    this.#weights = weights;
    this.#work = new Workspace(ctx);
    this.passes = new LanguagePasses({ ctx, config, weights, work: this.#work });
  }

  /**
   * Loads a language model, and its tokenizer where there is a `tokenizer.json`, or one that can be read in a GGUF file. Without
   * `@huggingface/tokenizers` it runs on token ids.
   *
   * @throws AttentionError as `loadCheckpoint`; "format" for a damaged tokenizer, "unsupported" for models that are no language models
   */
  static async load(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadCheckpointOptions = {},
  ): Promise<LanguageModel> {
    const files = await modelFiles(source, options);
    const { config, weights } = await loadAccepted(ctx, files, options, checkLanguage);
    try {
      const tokenizer = await loadOwnTokenizer(files, options.signal);
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

  /**
   * Sequences without tokens, to read texts into. Belongs to the caller: `destroy()` it.
   *
   * @param options.batches sequences side by side. Default 1
   * @param options.capacity tokens that caches have room for, rounded up to a power of two of at least 64; `generate` makes more as it needs it
   * @param options.dtype of keys and values. Default f32; f16 halves a cache, q8 quarters it
   * @throws AttentionError "shape", "dtype" or "unsupported" for options that are none of the model's, "limit" when it does not fit, "device-lost"
   */
  async createState(options: {
    readonly batches?: number;
    readonly capacity: number;
    readonly dtype?: CacheDType;
  }): Promise<SequenceState> {
    checkKnown("createState", options, ["batches", "capacity", "dtype"]);
    const { batches = 1, capacity, dtype = "f32" } = options;
    return SequenceState.create(this.ctx, this.config, { batches, capacity: roundedUp(capacity), dtype });
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
    const { hooks = [], signal } = options;
    checkHooks(hooks);
    this.checkIds("ids", ids);
    throwIfAborted("language model", signal);
    checkPositions(this.config, ids.length);
    const tokens = hooks.length > 0 ? ids.length : this.#paddedLength(ids.length);
    const { value: pass, release } = await this.passes.lease({
      ...{ tokens, logitsOf: "all", phase: "prefill", isWhole: true, hooks },
      ...{ context: ids.length, total: tokens },
    });
    try {
      const { logits } = pass.forward;
      const rows = { ...logits!, shape: [1, ids.length, 1, this.config.tokens!.vocabulary] as const };
      const padded = new Uint32Array(tokens);
      padded.set(Array.from(ids));
      const [read] = await runAndRead(this.ctx, [rows], (encoder) => {
        this.ctx.device.queue.writeBuffer(pass.ids, 0, padded);
        pass.forward.record(encoder, undefined);
      });
      return read!;
    } finally {
      release();
    }
  }

  /**
   * Takes tokens into a state of one sequence, in pieces; what it read stays, also where it is aborted.
   *
   * @returns logits of the token after the last one, [1, vocabulary], or what `logitsOf` asks for: after each, [tokens, vocabulary], or none
   * @throws AttentionError "shape" when they do not fit or are none of the model's, or the state has several sequences, "unsupported" while
   * another call works with the state, "aborted" between pieces, "limit", "disposed", "device-lost"
   */
  async prefill(
    state: SequenceState,
    ids: ArrayLike<number>,
    options: PrefillOptions = {},
  ): Promise<Float32Array> {
    checkKnown("prefill", options, ["hooks", "signal", "onProgress", "window", "logitsOf"]);
    const { hooks = [], window, logitsOf = "last" } = options;
    checkHooks(hooks);
    if (!["none", "last", "all"].includes(logitsOf))
      throw wrong("logitsOf", '"none", "last" or "all"', logitsOf, "Leave it out for the last token's.");
    if (window) checkWindow(window, this.config);
    this.checkIds("ids", ids);
    return this.using(state, () => readTokens(this, state, ids, { ...options, hooks, logitsOf }));
  }

  /**
   * Reads the newest token and a guess at what follows it, all in one pass, and takes as much of the guess as the model would have written itself
   * (speculative decoding, arXiv 2211.17192, where tokens are chosen by the same seed). The state goes on behind the last token that was
   * taken: the rest of the guess is undone. Where a layer is recurrent, what was taken of a guess that was not right is read once more, since
   * its state cannot be cut off. Tokens are read one by one with hooks that find attention sinks anew with each
   * (`update: "running"`), and where the text's length changes how keys are turned (dynamic and LongRoPE scaling): what was read before a failure or an
   * abort then stays, and `state.totals` says how much.
   *
   * @param tokens the newest token of the text, which the state has not read, and behind it the guess
   * @returns what the text goes on with: as much of the guess as was right, and one token more. The state has read all but the last of
   * them, with which the next call begins: the same tokens that `generate` would give, but for rounding of nearly equal logits
   * @throws AttentionError as `prefill`
   */
  async verify(
    state: SequenceState,
    tokens: ArrayLike<number>,
    options: VerifyOptions = {},
  ): Promise<number[]> {
    this.checkIds("tokens", tokens);
    return this.using(state, () => verify(this, state, tokens, options));
  }

  /**
   * What reading more tokens into a state takes, as the plans say; compiles the pass where that was not done before, and reads nothing.
   *
   * @param tokens of each sequence; one is a decode step
   * @throws AttentionError "shape" for a count of tokens that is none, "unsupported", "limit", "disposed", "device-lost"
   */
  async describePass(state: SequenceState, tokens = 1): Promise<PassDescription> {
    state.assertOf(this.config);
    return describePass(this.passes, state, tokens);
  }

  /**
   * Continues a prompt, or several at once, token by token: an iterator over pieces, which may be left at any time. One that is not read to the end
   * by a loop holds its buffers and the state until its `return()`.
   *
   * @param prompts one text, list of ids or conversation, or several; a text is encoded as the model's tokenizer does it, a conversation by its chat
   * template
   * @throws AttentionError "shape" or "unsupported" for prompts and options that are none, "limit" when caches do not fit, "aborted", "disposed",
   * "device-lost"; all of them by the iterator
   */
  async *generate(
    prompts: Prompt | readonly Prompt[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedPiece, void, undefined> {
    yield* generate(this, encodePrompts(this, prompts, options?.chat), options);
  }

  /** @internal Keeps other calls from a state that passes work with. */
  async using<Result>(state: SequenceState, work: () => Promise<Result>): Promise<Result> {
    const release = state.take(this.config);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** @throws AttentionError "shape" for anything but ids of the vocabulary, at least one */
  checkIds(subject: string, ids: ArrayLike<number>): void {
    const { vocabulary } = this.config.tokens!;
    const list = Array.from(ids ?? []);
    const place = list.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary));
    const fix = "Encode the text with this model's own tokenizer.";
    if (list.length === 0) throw wrong(subject, "at least one token", "none", fix);
    if (place >= 0)
      throw wrong(`${subject}[${place}]`, `an integer from 0 to ${vocabulary - 1}`, String(list[place]), fix);
  }

  destroy(): void {
    this.passes.destroy();
    this.#work.destroy();
    this.#weights.destroy();
  }

  #paddedLength(tokens: number): number {
    const { positions, layers } = this.config;
    // SALE looks at all rows there are.
    if (layers.some(({ attention }) => attention.mechanism === "sale")) return tokens;
    const most = positions.kind === "learned" ? positions.count : Number.POSITIVE_INFINITY;
    return Math.min(LENGTH_STEP * Math.ceil(tokens / LENGTH_STEP), most);
  }
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

function wrong(subject: string, expected: string, got: string, fix: string): AttentionError {
  return new AttentionError("shape", { subject, expected, got, fix });
}
