import {
  type LayerPlan,
  planSampling,
  type SamplingOptions,
  type SamplingTensors,
} from "webgpu-attention/layers";
import { BUFFER_USAGE } from "../buffer-usage.js";
import { ropeContext } from "../config/rope.js";
import type { LanguageModel } from "../language-model.js";
import { forget, windowCapacity } from "../model/cache-window.js";
import type { Lease } from "../model/forward-cache.js";
import type { LanguagePass } from "../model/language-passes.js";
import { checkPositions } from "../model/room.js";
import { SequenceState } from "../model/sequence-state.js";
import { type GenerateOptions, windowOf } from "./options.js";
import { TokenReader } from "./token-reader.js";

/** Tokens that a cache has room for beyond the prompt, to begin with. */
const FIRST_ROOM = 64;

interface Buffers {
  /** u32 [B]: the tokens that the next step reads. */
  readonly ids: GPUBuffer;
  /** u32 [B]: tokens of each sequence, whatever its cache has forgotten. */
  readonly totals: GPUBuffer;
  /** u32 [B, capacity]: all of them, where a penalty needs them. */
  readonly history?: { readonly buffer: GPUBuffer; readonly capacity: number };
}

interface Parts {
  readonly longest: number;
  readonly totals: number[];
  readonly buffers: Buffers;
  readonly sampling: LayerPlan<SamplingTensors>;
  readonly state: SequenceState;
}

/** Sequences that grow by a token a step, in one command buffer each. */
export class Decoding {
  readonly #model: LanguageModel;
  readonly #options: GenerateOptions;
  readonly #parts: Parts;
  readonly #reader: TokenReader;
  #state: SequenceState;
  #pass: Lease<LanguagePass> | undefined;
  /** What the pass was planned for. */
  #context = -1;
  /** Steps that were submitted. */
  steps = 0;

  private constructor(model: LanguageModel, options: GenerateOptions, parts: Parts, depth: number) {
    this.#model = model;
    this.#options = options;
    this.#parts = parts;
    this.#state = parts.state;
    this.#reader = new TokenReader(model.ctx.device, parts.totals.length, depth);
  }

  /**
   * Reads all prompts but their last tokens, which the first step takes, side by side.
   *
   * @param depth steps that may wait to be read
   */
  static async begin(
    model: LanguageModel,
    prompts: readonly ArrayLike<number>[],
    depth: number,
    options: GenerateOptions,
  ): Promise<Decoding> {
    const { maxTokens = 128, sampling: chosen = {} } = options;
    const { ctx, config } = model;
    const totals = prompts.map(({ length }) => length - 1);
    const longest = Math.max(...totals) + maxTokens;
    checkPositions(config, longest);
    const buffers = createBuffers(ctx.device, prompts, longest + 1, chosen);
    const { totals: lengths, history } = buffers;
    let sampling: LayerPlan<SamplingTensors> | undefined;
    try {
      // What is wrong with the options is found before prompts are read.
      const logits = { dtype: "f32", shape: [prompts.length, 1, 1, config.tokens!.vocabulary] } as const;
      sampling = await planSampling(ctx, { logits, lengths, ...(history && { history }), ...chosen });
      const room = Math.min(longest, Math.max(...totals) + FIRST_ROOM);
      const state = await readPrompts(model, prompts, options, room);
      return new Decoding(model, options, { longest, totals, buffers, sampling, state }, depth);
    } catch (error) {
      sampling?.destroy();
      destroyBuffers(buffers);
      throw error;
    }
  }

  /** Steps that were submitted and not read. */
  get waiting(): number {
    return this.#reader.waiting;
  }

  /** Submits the next step. */
  async step(): Promise<void> {
    await this.#makeRoom();
    const { totals, buffers, sampling } = this.#parts;
    const pass = await this.#passFor(Math.max(...totals) + 1);
    for (const [index, total] of totals.entries()) totals[index] = total + 1;
    this.#model.ctx.device.queue.writeBuffer(buffers.totals, 0, Uint32Array.from(totals));
    const window = windowOf(this.#options);
    this.#model.passes.run(pass, this.#state, {
      before: (encoder) => {
        if (window) forget(this.#state, encoder, 1, window);
        encoder.copyBufferToBuffer(buffers.ids, 0, pass.ids, 0, buffers.ids.size);
      },
      after: (encoder) => {
        sampling.record(encoder, { logits: pass.forward.logits!, ids: buffers.ids });
        this.#reader.record(encoder, buffers.ids);
      },
    });
    this.steps++;
  }

  /** Tokens of the step that was submitted first and not read. */
  next(): Promise<Uint32Array> {
    return this.#reader.next();
  }

  destroy(): void {
    this.#pass?.release();
    this.#state.destroy();
    this.#parts.sampling.destroy();
    this.#reader.destroy();
    destroyBuffers(this.#parts.buffers);
  }

  /** A cache that is full and forgets nothing becomes twice as large: the past is copied once each time. */
  async #makeRoom(): Promise<void> {
    const old = this.#state;
    if (windowOf(this.#options) || Math.max(...old.lengths) < old.capacity) return;
    this.#state = old.copy(2 * old.capacity);
    old.destroy();
    this.#context = -1;
  }

  /** The pass of one more token: another one where the state has grown, or a rotary scaling depends on the length. */
  async #passFor(tokens: number): Promise<LanguagePass> {
    const context = ropeContext(this.#model.config, tokens);
    if (this.#pass && context === this.#context) return this.#pass.value;
    const { hooks = [] } = this.#options;
    const shape = { tokens: 1, logitsOf: "last", phase: "decode", hooks, context: tokens } as const;
    const lease = await this.#model.passes.lease(shape, this.#state);
    this.#pass?.release();
    this.#pass = lease;
    this.#context = context;
    return lease.value;
  }
}

/** One after the other, since their lengths differ, then side by side. */
async function readPrompts(
  model: LanguageModel,
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
  room: number,
): Promise<SequenceState> {
  const { cache, hooks, signal, onProgress } = options;
  const total = prompts.reduce((sum, { length }) => sum + length - 1, 0);
  const window = windowOf(options);
  const capacity = Math.max(1, window ? windowCapacity(window) : room);
  const states: SequenceState[] = [];
  let done = 0;
  try {
    for (const ids of prompts) {
      const own = prompts.length === 1 || window ? capacity : ids.length;
      const state = model.createState({ capacity: own, dtype: cache?.dtype ?? "f32" });
      states.push(state);
      await model.prefill(state, Array.from(ids).slice(0, -1), {
        ...(hooks && { hooks }),
        ...(signal && { signal }),
        ...(window && { window }),
        onProgress: (read) => onProgress?.({ done: done + read, total }),
      });
      done += ids.length - 1;
    }
    if (states.length === 1) return states.pop()!;
    const joined = states.map((state) => ({ state, entry: 0 }));
    return SequenceState.join(joined, Math.max(capacity, ...states.map((state) => state.capacity)));
  } finally {
    for (const state of states) state.destroy();
  }
}

function createBuffers(
  device: GPUDevice,
  prompts: readonly ArrayLike<number>[],
  capacity: number,
  { repetitionPenalty = 1 }: SamplingOptions,
): Buffers {
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
  const make = (words: number, label: string) => device.createBuffer({ size: 4 * words, usage, label });
  const ids = make(prompts.length, "next tokens");
  device.queue.writeBuffer(
    ids,
    0,
    Uint32Array.from(prompts, (prompt) => prompt[prompt.length - 1]!),
  );
  const totals = make(prompts.length, "tokens of sequences");
  if (repetitionPenalty === 1) return { ids, totals };
  const history = { buffer: make(prompts.length * capacity, "tokens so far"), capacity };
  prompts.forEach((prompt, index) => {
    device.queue.writeBuffer(history.buffer, 4 * index * capacity, Uint32Array.from(prompt));
  });
  return { ids, totals, history };
}

function destroyBuffers({ ids, totals, history }: Buffers): void {
  for (const buffer of [ids, totals, ...(history ? [history.buffer] : [])]) buffer.destroy();
}
