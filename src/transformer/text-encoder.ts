import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { checkHooks, checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import type { LoadCheckpointOptions } from "./load-checkpoint.js";
import { checkOutputs, chosenOutputs, type EncoderOutput } from "./model/encoder-outputs.js";
import type { ForwardContext } from "./model/layer-context.js";
import { ModelRuntime, planWithBuffers } from "./model/model-runtime.js";
import { runAndRead } from "./model/run-and-read.js";
import { TextEncoderForward } from "./model/text-encoder-forward.js";
import { tokenBuffers } from "./model/token-buffers.js";
import type { ModelSource } from "./sources/model-files.js";
import { throwIfAborted } from "./sources/source-errors.js";

export interface EncodeTokensOptions {
  /** Types of tokens, as many as ids. Default all 0. */
  readonly typeIds?: readonly ArrayLike<number>[];
  /** What comes back. Default all that the model has. */
  readonly outputs?: readonly EncoderOutput[];
  /** Look into the pass and change it. Default none. */
  readonly hooks?: readonly AttentionHook[];
  readonly signal?: AbortSignal;
}

/** What came of each sequence, of what was asked for. */
export interface EncodedTokens {
  /** [tokens, width] */
  readonly hidden?: Float32Array;
  /** [width], where the model has a pooler. */
  readonly pooled?: Float32Array;
  /** [labels] of a classifier, [tokens, vocabulary] of a masked-language model. */
  readonly logits?: Float32Array;
}

interface PlannedTexts {
  readonly forward: TextEncoderForward;
  readonly ids: GPUBuffer;
  readonly typeIds: GPUBuffer;
  /** u32 [B, ceil(T / 32)] bits: which tokens are there. */
  readonly keyMask: GPUBuffer;
  destroy(): void;
}

const KIND = {
  expected: "an encoder of texts",
  mismatch: ({ tokens }: ModelConfig) =>
    tokens?.types ? undefined : tokens ? "a model that writes them" : "a model of images",
  keptPasses: 8,
};

/** An encoder of texts on the GPU, with its pooler and head where it has them: BERT. */
export class TextEncoderModel {
  readonly #runtime: ModelRuntime<PlannedTexts>;

  private constructor(runtime: ModelRuntime<PlannedTexts>) {
    this.#runtime = runtime;
  }

  get ctx(): AttentionContext {
    return this.#runtime.ctx;
  }

  get config(): ModelConfig {
    return this.#runtime.config;
  }

  /** @throws AttentionError as `loadCheckpoint`; "unsupported" for models that are no encoders of texts */
  static async load(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadCheckpointOptions = {},
  ): Promise<TextEncoderModel> {
    return new TextEncoderModel(await ModelRuntime.load(ctx, source, options, KIND));
  }

  /** Bytes of GPU memory: weights, and what passes hand from step to step. */
  get bytes(): number {
    return this.#runtime.bytes;
  }

  /**
   * Encodes sequences of tokens, all in one pass; shorter ones are padded.
   *
   * @param ids of each sequence
   * @throws AttentionError "shape" for ids that the model has not, or more tokens than it has positions, "unsupported" for outputs that the model does not have,
   * "aborted", "disposed", "device-lost"
   */
  async encode(
    ids: readonly ArrayLike<number>[],
    options: EncodeTokensOptions = {},
  ): Promise<EncodedTokens[]> {
    checkKnown("encode", options, ["typeIds", "outputs", "hooks", "signal"]);
    const { hooks = [], signal } = options;
    checkHooks(hooks);
    checkOutputs(options.outputs);
    this.#check(ids, options.typeIds);
    const typeIds = options.typeIds ?? ids.map(({ length }) => new Uint32Array(length));
    throwIfAborted("text encoder", signal);
    const [batches, tokens] = [ids.length, Math.max(...ids.map(({ length }) => length))];
    const padded = (rows: readonly ArrayLike<number>[]) => {
      const all = new Uint32Array(batches * tokens);
      for (const [b, row] of rows.entries()) all.set(Array.from(row), b * tokens);
      return all;
    };
    return this.#runtime.with(
      { batches, tokens, hooks },
      (context) => this.#plan(context),
      async (pass) => {
        const { hidden, pooled, logits } = pass.forward.outputs;
        const wanted = chosenOutputs(options.outputs, {
          ...{ hidden: true, pooled: pooled !== undefined, logits: logits !== undefined },
        });
        const chosen = Object.entries({ hidden, pooled, logits }).flatMap(([name, view]) =>
          view && wanted.has(name as EncoderOutput) ? [[name, view] as const] : [],
        );
        const views = chosen.map(([, view]) => view);
        const read = await runAndRead(this.ctx, views, (encoder) => {
          const { queue } = this.ctx.device;
          queue.writeBuffer(pass.ids, 0, padded(ids));
          queue.writeBuffer(pass.typeIds, 0, padded(typeIds));
          queue.writeBuffer(pass.keyMask, 0, bitsOf(ids, tokens));
          pass.forward.record(encoder, wanted);
        });
        /** Of a sequence: all its tokens, or one row for all of it. */
        const part = (view: TensorView, n: number) => {
          const [, rows, , width] = view.shape;
          const first = n * rows * width;
          return read[views.indexOf(view)]!.slice(first, first + Math.min(rows, ids[n]!.length) * width);
        };
        return ids.map((_, n) => Object.fromEntries(chosen.map(([name, view]) => [name, part(view, n)])));
      },
    );
  }

  #check(ids: readonly ArrayLike<number>[], typeIds?: readonly ArrayLike<number>[]): void {
    const { vocabulary, types = 1 } = this.config.tokens!;
    if (!Array.isArray(ids) || ids.length === 0)
      throw wrong("ids", "at least one sequence", ids?.length ?? ids);
    for (const [n, row] of ids.entries()) {
      if (!(row?.length >= 1 && row.length <= this.config.context))
        throw wrong(`ids[${n}]`, `from 1 to ${this.config.context} tokens`, row?.length);
      if (typeIds && typeIds[n]?.length !== row.length)
        throw wrong(`typeIds[${n}]`, `${row.length} types, as many as ids`, typeIds[n]?.length);
      for (const [t, id] of Array.from(row as ArrayLike<number>).entries()) {
        if (!(Number.isInteger(id) && id >= 0 && id < vocabulary))
          throw wrong(`ids[${n}][${t}]`, `an integer from 0 to ${vocabulary - 1}`, id);
        const type = typeIds ? typeIds[n]![t]! : 0;
        if (!(Number.isInteger(type) && type >= 0 && type < types))
          throw wrong(`typeIds[${n}][${t}]`, `an integer from 0 to ${types - 1}`, type);
      }
    }
  }

  #plan(context: ForwardContext): Promise<PlannedTexts> {
    const { batches, tokens } = context;
    const words = tokenBuffers(this.ctx.device, batches, tokens);
    const types = tokenBuffers(this.ctx.device, batches, tokens);
    const mask = tokenBuffers(this.ctx.device, batches, Math.ceil(tokens / 32));
    const buffers = [words, types, mask].flatMap(({ ids, lengths }) => [ids, lengths]);
    const given = { ids: words.ids, typeIds: types.ids, keyMask: mask.ids };
    return planWithBuffers(given, buffers, () => TextEncoderForward.plan({ ...context, ...given }));
  }

  destroy(): void {
    this.#runtime.destroy();
  }
}

/** A bit for each token that is there, lowest first, a row of whole words for each sequence. */
function bitsOf(ids: readonly ArrayLike<number>[], tokens: number): Uint32Array<ArrayBuffer> {
  const words = Math.ceil(tokens / 32);
  const bits = new Uint32Array(ids.length * words);
  for (const [b, { length }] of ids.entries()) {
    for (let t = 0; t < length; t++) bits[b * words + Math.floor(t / 32)]! |= 1 << (t % 32);
  }
  return bits;
}

function wrong(subject: string, expected: string, got: unknown): AttentionError {
  const fix = "Encode texts with this model's own tokenizer.";
  return new AttentionError("shape", { subject, expected, got: String(got), fix });
}
