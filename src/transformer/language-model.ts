import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import { ropeDependsOnLength } from "./config/rope.js";
import { generate, type TextPieces } from "./generation/generate.js";
import type { GeneratedPiece, GenerateOptions } from "./generation/options.js";
import { type LoadCheckpointOptions, loadCheckpoint } from "./load-checkpoint.js";
import { ForwardCache } from "./model/forward-cache.js";
import { HookNames } from "./model/hook-names.js";
import { LanguageForward } from "./model/language-forward.js";
import { type CacheDType, SequenceState } from "./model/sequence-state.js";
import { type TokenBuffers, tokenBuffers } from "./model/token-buffers.js";
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
  /** Makes room for so many more tokens in a cache that forgets. Default: the cache has room for all. */
  readonly makeRoom?: (encoder: GPUCommandEncoder, count: number) => void;
}

/** A pass with the buffers that it reads its tokens from. */
export interface PlannedPass extends TokenBuffers {
  readonly forward: LanguageForward;
  /** Of each sequence. */
  readonly tokens: number;
}

interface PassShape {
  readonly batches: number;
  readonly tokens: number;
  readonly logitsOf: "last" | "all";
  readonly hooks?: readonly AttentionHook[];
}

/** Tokens that one pass takes at most: longer prompts go through in pieces, so that buffers stay small and dispatches short. */
const CHUNK = 128;
const KEPT_PASSES = 12;

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
  readonly #passes = new ForwardCache<PlannedPass>(KEPT_PASSES);
  readonly #hookNames = new HookNames();

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
    const { config, weights } = await loadCheckpoint(ctx, files, options);
    try {
      checkLanguage(config);
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
    return SequenceState.create(this.ctx, this.config, { batches, capacity: evenCapacity(capacity), dtype });
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
    const shape = { batches: 1, tokens: ids.length, logitsOf: "all", hooks: options.hooks ?? [] } as const;
    const pass = await this.#plan(shape, undefined, ids.length);
    this.ctx.device.queue.writeBuffer(pass.ids, 0, Uint32Array.from(ids));
    await this.ctx.submitChecked((encoder) => pass.forward.record(encoder, undefined));
    return this.ctx.read(pass.forward.logits);
  }

  /**
   * Takes tokens into a state of one sequence, in pieces.
   *
   * @throws AttentionError "shape" when they do not fit, "aborted" between pieces, "disposed", "device-lost"
   */
  async prefill(state: SequenceState, ids: ArrayLike<number>, options: PrefillOptions = {}): Promise<void> {
    const { hooks = [], signal, onProgress, makeRoom } = options;
    const all = Uint32Array.from(ids);
    const [before = 0] = state.lengths;
    const after = before + all.length;
    if (after > state.capacity && !makeRoom) throw fullCache(after, state.capacity);
    for (let done = 0; done < all.length; ) {
      throwIfAborted("prefill", signal);
      const tokens = Math.min(CHUNK, all.length - done, state.capacity);
      const pass = await this.planPass(state, { tokens, logitsOf: "last", hooks }, after);
      this.ctx.device.queue.writeBuffer(pass.ids, 0, all, done, tokens);
      this.runPass(pass, state, { before: (encoder) => makeRoom?.(encoder, tokens) });
      done += tokens;
      onProgress?.(done, all.length);
    }
  }

  /**
   * @internal A pass over so many more tokens of each sequence of a state.
   *
   * @param context tokens of the longest sequence afterwards
   */
  planPass(state: SequenceState, shape: Omit<PassShape, "batches">, context: number): Promise<PlannedPass> {
    return this.#plan({ ...shape, batches: state.batches }, state, context);
  }

  /** @internal Submits a pass, and what comes before and behind it, in one command buffer. */
  runPass(
    pass: PlannedPass,
    state: SequenceState,
    around: Partial<Record<"before" | "after", (encoder: GPUCommandEncoder) => void>> = {},
  ): void {
    const { device } = this.ctx;
    const encoder = device.createCommandEncoder();
    around.before?.(encoder);
    for (const [entry, length] of state.lengths.entries()) state.lengths[entry] = length + pass.tokens;
    device.queue.writeBuffer(pass.lengths, 0, Uint32Array.from(state.lengths));
    pass.forward.record(encoder, state);
    around.after?.(encoder);
    device.queue.submit([encoder.finish()]);
    state.turn = state.turn === 0 ? 1 : 0;
  }

  /**
   * Continues a prompt, or several at once, token by token: an iterator over pieces, which may be left at any time.
   *
   * @param prompts one text or list of ids, or several; a text begins with the model's own first token
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
    return bos !== undefined && ids[0] !== bos ? [bos, ...ids] : ids;
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

  #plan(shape: PassShape, state: SequenceState | undefined, context: number): Promise<PlannedPass> {
    const { batches, tokens, logitsOf, hooks = [] } = shape;
    const turning = this.config.layers.some(
      ({ attention }) => "rope" in attention && attention.rope && ropeDependsOnLength(attention.rope),
    );
    const key = JSON.stringify([
      ...[batches, tokens, logitsOf, state?.capacity, state?.dtype],
      turning ? context : 0,
      this.#hookNames.of(hooks),
    ]);
    return this.#passes.get(key, async () => {
      const buffers = tokenBuffers(this.ctx.device, batches, tokens);
      try {
        const forward = await LanguageForward.plan(
          {
            ...{ ctx: this.ctx, config: this.config, weights: this.#weights, work: this.#work },
            ...{ batches, tokens, logitsOf, hooks, context, ids: buffers.ids },
            ...(state && { lengths: buffers.lengths }),
          },
          state,
        );
        const destroy = () => {
          forward.destroy();
          buffers.destroy();
        };
        return { ...buffers, forward, tokens, destroy };
      } catch (error) {
        buffers.destroy();
        throw error;
      }
    });
  }

  destroy(): void {
    this.#passes.destroy();
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

/** Rows of f16 caches begin at whole words. */
function evenCapacity(capacity: number): number {
  return 2 * Math.ceil(capacity / 2);
}

function fullCache(tokens: number, capacity: number): AttentionError {
  return new AttentionError("shape", {
    subject: "sequence",
    expected: `at most ${capacity} tokens, its capacity`,
    got: `${tokens}`,
    fix: "Create the state with more, or copy it into a larger one.",
  });
}
