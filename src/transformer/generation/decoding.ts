import type { LanguageModel } from "../language-model.js";
import { forget, windowCapacity } from "../model/cache-window.js";
import type { Lease } from "../model/forward-cache.js";
import type { LanguagePass } from "../model/language-passes.js";
import { checkPositions, roundedUp } from "../model/room.js";
import { SequenceState } from "../model/sequence-state.js";
import { sinksMove } from "../model/sink-memory.js";
import { sinkSearches } from "../model/sink-search.js";
import { type GenerateOptions, windowOf } from "./options.js";
import { readPrompts } from "./read-prompts.js";
import { StepReader, type StepResult } from "./step-reader.js";
import { TokenChoice } from "./token-choice.js";

/** Tokens that a cache has room for beyond the prompt, to begin with. */
const FIRST_ROOM = 32;

interface Parts {
  readonly state: SequenceState;
  readonly choice: TokenChoice;
  readonly reader: StepReader;
}

/** Where a sequence has ended. */
interface Left {
  /** Steps whose tokens are its own. */
  readonly read: number;
  /** What it has left, where that cannot be cut off the state that goes on. */
  readonly aside?: SequenceState;
}

/** Sequences that grow by a token a step, in one command buffer each. */
export class Decoding {
  readonly #model: LanguageModel;
  readonly #options: GenerateOptions;
  readonly #parts: Parts;
  /** The pass of the last step, which is most often that of the next. */
  #pass: Lease<LanguagePass> | undefined;
  /** Sequences that have ended while others go on. */
  readonly #left = new Map<number, Left>();
  /** Steps that were submitted. */
  steps = 0;

  private constructor(model: LanguageModel, options: GenerateOptions, parts: Parts) {
    this.#model = model;
    this.#options = options;
    this.#parts = parts;
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
    const { maxTokens = 128, sampling = {}, state: given, candidates = 0 } = options;
    const { ctx, config } = model;
    const { vocabulary } = config.tokens!;
    const before = given ? [...given.totals] : prompts.map(() => 0);
    const longest = Math.max(...prompts.map(({ length }, b) => before[b]! + length));
    checkPositions(config, longest - 1 + maxTokens);
    const { hooks = [] } = options;
    if (windowOf(options) && sinkSearches(config, hooks, { batches: prompts.length }).length > 0)
      throw sinksMove();
    // What is wrong with the options is found before prompts are read.
    const choice = await TokenChoice.create(ctx, { prompts, before, vocabulary, sampling });
    try {
      const window = windowOf(options);
      const room = roundedUp(Math.min(longest - 1 + maxTokens, longest + FIRST_ROOM));
      const state = await readPrompts(model, prompts, options, window ? windowCapacity(window) : room);
      const reader = new StepReader(ctx, prompts.length, { logits: candidates > 0 ? vocabulary : 0, depth });
      return new Decoding(model, options, { state, choice, reader });
    } catch (error) {
      choice.destroy();
      throw error;
    }
  }

  /** Steps that were submitted and not read. */
  get waiting(): number {
    return this.#parts.reader.waiting;
  }

  /** Submits the next step. */
  async step(): Promise<void> {
    const { state, choice, reader } = this.#parts;
    const window = windowOf(this.#options);
    // A cache that is full and forgets nothing becomes twice as large: the past is copied once each time.
    if (!window && Math.max(...state.lengths) >= state.capacity) await state.grow(2 * state.capacity);
    await choice.prepare(state.totals.map((total) => total + 1));
    const pass = await this.#nextPass();
    await this.#model.passes.run(pass, state, {
      before: (encoder) => {
        if (window) forget(state, encoder, window);
        encoder.copyBufferToBuffer(choice.ids, 0, pass.ids, 0, choice.ids.size);
      },
      after: (encoder) => {
        choice.record(encoder, pass.forward.logits!);
        reader.record(encoder, choice.ids, pass.forward.logits!);
      },
    });
    this.steps++;
  }

  /** What the step left that was submitted first and not read. */
  next(): Promise<StepResult> {
    return this.#parts.reader.next();
  }

  /**
   * That a sequence's text has ended: the steps of the others go on with it, but nothing of that is to be left in a state of the caller's.
   *
   * @param read steps whose tokens are part of the text
   * @throws AttentionError "limit"
   */
  async leave(sequence: number, read: number): Promise<void> {
    const { state } = this.#parts;
    if (!this.#options.state) return;
    if (state.canBeCut && !windowOf(this.#options)) {
      this.#left.set(sequence, { read });
      return;
    }
    const aside = await SequenceState.joinAsTheyAre([{ state, entry: sequence }], state.capacity);
    if (this.steps > read) aside.undo(1);
    this.#left.set(sequence, { read, aside });
  }

  /**
   * @param read steps whose tokens are part of the text: a state of the caller's is left behind the last of these, or where a sequence ended
   */
  end(read: number): void {
    const { state, choice, reader } = this.#parts;
    this.#pass?.release();
    choice.destroy();
    reader.destroy();
    try {
      if (!this.#options.state) state.destroy();
      else if (state.isAlive) this.#leaveAll(state, read);
    } finally {
      for (const { aside } of this.#left.values()) aside?.destroy();
    }
  }

  #leaveAll(state: SequenceState, read: number): void {
    // No more than one step is ahead of what was read.
    if (this.steps > read) state.undo(1);
    const asides = new Map<number, SequenceState>();
    for (const [sequence, { read: own, aside }] of this.#left) {
      if (aside) asides.set(sequence, aside);
      else state.shorten(sequence, read - own);
    }
    if (asides.size > 0) state.putBack(asides);
  }

  async #nextPass(): Promise<LanguagePass> {
    const { state } = this.#parts;
    const { hooks = [] } = this.#options;
    const window = windowOf(this.#options);
    const kept = Math.max(...state.lengths) + 1;
    const context = window ? Math.min(kept, windowCapacity(window)) : kept;
    const total = Math.max(...state.totals) + 1;
    const lease = await this.#model.passes.lease(
      { tokens: 1, logitsOf: "last", phase: "decode", isWhole: false, hooks, context, total },
      state,
    );
    this.#pass?.release();
    this.#pass = lease;
    return lease.value;
  }
}
