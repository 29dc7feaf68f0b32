import { type LayerPlan, planSampling, type SamplingTensors } from "webgpu-attention/layers";
import type { LanguageModel, PlannedPass } from "../language-model.js";
import { SequenceState } from "../model/sequence-state.js";
import type { GenerateOptions } from "./options.js";
import { TokenReader } from "./token-reader.js";

/** The values of `GPUBufferUsage`, which is not there where nobody has asked for a GPU yet. */
const USAGE = { COPY_SRC: 0x4, COPY_DST: 0x8, STORAGE: 0x80 } as const;
/** Tokens that a cache has room for beyond the prompt, to begin with. */
const FIRST_ROOM = 64;

interface Buffers {
  /** u32 [B]: the tokens that the next step reads. */
  readonly ids: GPUBuffer;
  /** u32 [B]: tokens of each sequence, whatever its cache has forgotten. */
  readonly totals: GPUBuffer;
  /** u32 [B, capacity]: all of them, for the repetition penalty. */
  readonly history: { readonly buffer: GPUBuffer; readonly capacity: number };
}

/** Sequences that grow by a token a step, in one command buffer each. */
export class Decoding {
  readonly #model: LanguageModel;
  readonly #options: GenerateOptions;
  readonly #longest: number;
  readonly #totals: number[];
  readonly #buffers: Buffers;
  readonly #sampling: LayerPlan<SamplingTensors>;
  readonly #reader: TokenReader;
  #state: SequenceState;
  #pass: PlannedPass;
  /** Steps that were submitted. */
  steps = 0;

  private constructor(
    model: LanguageModel,
    options: GenerateOptions,
    parts: {
      readonly longest: number;
      readonly totals: number[];
      readonly buffers: Buffers;
      readonly sampling: LayerPlan<SamplingTensors>;
      readonly reader: TokenReader;
      readonly state: SequenceState;
      readonly pass: PlannedPass;
    },
  ) {
    this.#model = model;
    this.#options = options;
    this.#longest = parts.longest;
    this.#totals = parts.totals;
    this.#buffers = parts.buffers;
    this.#sampling = parts.sampling;
    this.#reader = parts.reader;
    this.#state = parts.state;
    this.#pass = parts.pass;
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
    const { maxTokens = 128, sampling = {} } = options;
    const { device } = model.ctx;
    const totals = prompts.map(({ length }) => length - 1);
    const longest = Math.max(...totals) + maxTokens;
    const state = await readPrompts(
      model,
      prompts,
      options,
      Math.min(longest, Math.max(...totals) + FIRST_ROOM),
    );
    const buffers = createBuffers(device, prompts, longest + 1);
    let pass: PlannedPass;
    let plan: LayerPlan<SamplingTensors>;
    try {
      pass = await model.planPass(state, passShape(options), longest);
      plan = await planSampling(model.ctx, {
        ...{ logits: pass.forward.logits, lengths: buffers.totals, history: buffers.history },
        ...sampling,
      });
    } catch (error) {
      state.destroy();
      destroyBuffers(buffers);
      throw error;
    }
    const reader = new TokenReader(device, prompts.length, depth);
    return new Decoding(model, options, { longest, totals, buffers, sampling: plan, reader, state, pass });
  }

  /** Steps that were submitted and not read. */
  get waiting(): number {
    return this.#reader.waiting;
  }

  /** Submits the next step. */
  async step(): Promise<void> {
    await this.#makeRoom();
    const { device } = this.#model.ctx;
    const { ids, totals } = this.#buffers;
    for (const [index, total] of this.#totals.entries()) this.#totals[index] = total + 1;
    device.queue.writeBuffer(totals, 0, Uint32Array.from(this.#totals));
    const pass = this.#pass;
    this.#model.runPass(pass, this.#state, {
      before: (encoder) => {
        this.#forget(encoder);
        encoder.copyBufferToBuffer(ids, 0, pass.ids, 0, ids.size);
      },
      after: (encoder) => {
        this.#sampling.record(encoder, { logits: pass.forward.logits, ids });
        this.#reader.record(encoder, ids);
      },
    });
    this.steps++;
  }

  /** Tokens of the step that was submitted first and not read. */
  next(): Promise<Uint32Array> {
    return this.#reader.next();
  }

  destroy(): void {
    this.#state.destroy();
    this.#sampling.destroy();
    this.#reader.destroy();
    destroyBuffers(this.#buffers);
  }

  /** A cache that is full and forgets nothing becomes twice as large: the past is copied once each time. */
  async #makeRoom(): Promise<void> {
    if (this.#options.cache || Math.max(...this.#state.lengths) < this.#state.capacity) return;
    const old = this.#state;
    this.#state = old.copy(Math.min(this.#longest, 2 * old.capacity));
    old.destroy();
    this.#pass = await this.#model.planPass(this.#state, passShape(this.#options), this.#longest);
  }

  #forget(encoder: GPUCommandEncoder): void {
    const { cache } = this.#options;
    if (!cache) return;
    makeRoomFor(this.#state, encoder, 1, cache);
  }
}

function passShape({ hooks = [] }: GenerateOptions) {
  return { tokens: 1, logitsOf: "last", hooks } as const;
}

/** Drops as many of each sequence's oldest tokens behind the sinks as `count` new ones need. */
function makeRoomFor(
  state: SequenceState,
  encoder: GPUCommandEncoder,
  count: number,
  { sinks = 4, window, evict = 1 }: NonNullable<GenerateOptions["cache"]>,
): void {
  const counts = state.lengths.map((length) => {
    const excess = length + count - (sinks + window);
    return excess > 0 ? Math.min(Math.max(excess, evict), length - sinks) : 0;
  });
  if (counts.some((dropped) => dropped > 0)) state.evict(encoder, sinks, counts);
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
  const capacity = cache ? (cache.sinks ?? 4) + cache.window : room;
  const dtype = cache?.dtype ?? "f32";
  const states: SequenceState[] = [];
  let done = 0;
  try {
    for (const ids of prompts) {
      const own = cache ? capacity : prompts.length === 1 ? room : ids.length;
      const state = model.createState({ capacity: Math.max(own, 1), dtype });
      states.push(state);
      await model.prefill(state, Array.from(ids).slice(0, -1), {
        ...{ hooks, signal },
        ...(cache && { makeRoom: (encoder, count) => makeRoomFor(state, encoder, count, cache) }),
        onProgress: (read) => onProgress?.({ done: done + read, total }),
      });
      done += ids.length - 1;
    }
    if (states.length === 1) return states.pop()!;
    return SequenceState.join(
      states.map((state) => ({ state, entry: 0 })),
      capacity,
    );
  } finally {
    for (const state of states) state.destroy();
  }
}

function createBuffers(device: GPUDevice, prompts: readonly ArrayLike<number>[], capacity: number): Buffers {
  const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
  const make = (words: number, label: string) => device.createBuffer({ size: 4 * words, usage, label });
  const ids = make(prompts.length, "next tokens");
  device.queue.writeBuffer(
    ids,
    0,
    Uint32Array.from(prompts, (prompt) => prompt[prompt.length - 1]!),
  );
  const history = { buffer: make(prompts.length * capacity, "tokens so far"), capacity };
  prompts.forEach((prompt, index) => {
    device.queue.writeBuffer(history.buffer, 4 * index * capacity, Uint32Array.from(prompt));
  });
  return { ids, totals: make(prompts.length, "tokens of sequences"), history };
}

function destroyBuffers({ ids, totals, history }: Buffers): void {
  for (const buffer of [ids, totals, history.buffer]) buffer.destroy();
}
