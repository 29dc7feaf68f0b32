import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { ModelConfig } from "../config/model-config.js";
import { copyLayer } from "./copy-layer.js";
import { dropRows } from "./drop-rows.js";
import {
  type CacheDType,
  checkCacheDType,
  hasCache,
  type LayerState,
  rowBytes,
  type StateOptions,
  type Turn,
  turnOf,
} from "./layer-state.js";
import { type FoundSinks, type KnownRules, type LayerRoom, layersOf } from "./sink-memory.js";
import type { SinkSearch } from "./sink-search.js";
import { freeBuffers, madeInRoom, makeBuffers, moveRoom, type StateBuffers } from "./state-buffers.js";

/** One sequence of a state. */
export interface SequenceEntry {
  readonly state: SequenceState;
  /** Which of its sequences. */
  readonly entry: number;
}

/** Where the sequences of a state stand: what tells which part of its buffers is theirs. */
interface Standing {
  readonly lengths: readonly number[];
  readonly totals: readonly number[];
  readonly turn: Turn;
  readonly rules: KnownRules;
}

/**
 * What a batch of sequences keeps between forward passes: keys and values in caches, or recurrent states. Made by `LanguageModel.createState`; its
 * buffers are its own, until `destroy()`.
 */
export class SequenceState {
  readonly #ctx: AttentionContext;
  readonly #config: ModelConfig;
  #kept: StateBuffers;
  #capacity: number;
  #destroyed = false;
  #isTaken = false;
  readonly dtype: CacheDType;
  readonly batches: number;
  /** Tokens of each sequence that are in the caches. */
  readonly lengths: number[];
  /** Tokens of each sequence so far, whatever its caches have forgotten. */
  readonly totals: number[];
  /** Which of the two tensors of a recurrent layer holds what is left: changes with every pass. */
  turn: Turn = 0;

  private constructor(ctx: AttentionContext, config: ModelConfig, options: StateOptions, kept: StateBuffers) {
    this.#ctx = ctx;
    this.#config = config;
    this.#kept = kept;
    this.#capacity = options.capacity;
    this.batches = options.batches;
    this.dtype = options.dtype;
    this.lengths = Array.from({ length: options.batches }, () => 0);
    this.totals = [...this.lengths];
  }

  /**
   * Empty sequences. WebGPU clears new buffers: a recurrent state begins at zero.
   *
   * @throws AttentionError "limit" when the caches do not fit, "shape" for sizes that are none, "dtype" or "unsupported" for a storage or
   *   attention that does not go from token to token, "device-lost"
   */
  static async create(
    ctx: AttentionContext,
    config: ModelConfig,
    options: StateOptions,
  ): Promise<SequenceState> {
    for (const name of ["batches", "capacity"] as const) checkCount(name, options[name]);
    checkCacheDType(options.dtype, config);
    // Without caches there is always room.
    const isBounded = config.layers.some(({ attention }) => hasCache(attention));
    const sized = isBounded ? options : { ...options, capacity: Number.POSITIVE_INFINITY };
    return new SequenceState(ctx, config, sized, await makeBuffers(ctx, config, sized));
  }

  /**
   * Copies of sequences, of several states or one sequence several times, side by side in a new state. Submits the copies.
   *
   * @param capacity at least as long as each of them
   * @throws AttentionError "limit", "shape", "disposed", "unsupported" while a call works with one of the states
   */
  static async join(sequences: readonly SequenceEntry[], capacity: number): Promise<SequenceState> {
    for (const { state } of sequences) state.#assertFree();
    return SequenceState.joinAsTheyAre(sequences, capacity);
  }

  /** @internal `join` within the call that works with the states. */
  static async joinAsTheyAre(sequences: readonly SequenceEntry[], capacity: number): Promise<SequenceState> {
    const first = sequences[0]?.state;
    if (!first) throw wrong("sequences", "at least one", "none");
    for (const { state, entry } of sequences) {
      state.assertAlive();
      if (!(entry in state.lengths)) throw wrong("entry", `one of ${state.batches} sequences`, String(entry));
      if (state.dtype !== first.dtype || state.#config !== first.#config)
        throw wrong("sequences", "states of one model and storage", "others");
      if (state.lengths[entry]! > capacity)
        throw wrong(
          "capacity",
          `at least the ${state.lengths[entry]} tokens of a sequence`,
          String(capacity),
        );
    }
    const options = { batches: sequences.length, capacity, dtype: first.dtype };
    const joined = await SequenceState.create(first.#ctx, first.#config, finite(options));
    try {
      await joined.#addSinks(layersOf(sequences.map(({ state }) => state.#kept.sinks)));
      for (const { state } of sequences) state.assertAlive();
      const encoder = first.#ctx.device.createCommandEncoder({ label: "join sequences" });
      for (const [index, from] of sequences.entries()) joined.#copyEntry(encoder, index, from);
      first.#ctx.device.queue.submit([encoder.finish()]);
      return joined;
    } catch (error) {
      joined.destroy();
      throw error;
    }
  }

  /** @internal Puts copies of sequences that are as they were taken out of this state back in their places. Submits the copies. */
  putBack(sequences: ReadonlyMap<number, SequenceState>): void {
    const { device } = this.#ctx;
    const encoder = device.createCommandEncoder({ label: "put sequences back" });
    for (const [index, state] of sequences) this.#copyEntry(encoder, index, { state, entry: 0 });
    device.queue.submit([encoder.finish()]);
  }

  #copyEntry(encoder: GPUCommandEncoder, index: number, { state, entry }: SequenceEntry): void {
    this.lengths[index] = state.lengths[entry]!;
    this.totals[index] = state.totals[entry]!;
    for (const [n, layer] of state.layers.entries())
      copyLayer(encoder, layer, this.layers[n]!, { state, entry, joined: this, index });
    const places = { from: { entry, turn: state.turn }, to: { entry: index, turn: this.turn } };
    this.#kept.sinks.copy(encoder, state.#kept.sinks, places);
  }

  /** Tokens that the caches have room for; without caches, any number. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Other objects once the state has grown. */
  get layers(): readonly LayerState[] {
    return this.#kept.layers;
  }

  /**
   * A snapshot to come back to, or the beginning of another sequence. The past is copied once.
   *
   * @param capacity of the copy, at least as long as each sequence; default the same
   * @throws AttentionError "limit", "shape", "disposed", "unsupported" while a call works with the state
   */
  copy(capacity = this.capacity): Promise<SequenceState> {
    return SequenceState.join(this.#entries, capacity);
  }

  get #entries(): SequenceEntry[] {
    return this.lengths.map((_, entry) => ({ state: this, entry }));
  }

  /**
   * Room for so many tokens, where there is less: the past is copied once.
   *
   * @throws AttentionError "limit", "shape", "disposed", "unsupported" while a call works with the state; it is then as it was
   */
  async reserve(capacity: number): Promise<void> {
    checkCount("capacity", capacity);
    const release = this.take(this.#config);
    try {
      await this.grow(capacity);
    } finally {
      release();
    }
  }

  /** @internal `reserve` within the call that works with the state. */
  async grow(capacity: number): Promise<void> {
    this.assertAlive();
    if (capacity > this.capacity) this.become(await SequenceState.joinAsTheyAre(this.#entries, capacity));
  }

  /**
   * @internal Keeps other calls away until what it returns is called.
   *
   * @param config of the model that works with it
   * @throws AttentionError "unsupported" for another model's, or while another call works with it; "disposed"
   */
  take(config: ModelConfig): () => void {
    this.#assertFree();
    this.assertOf(config);
    this.#isTaken = true;
    return () => {
      this.#isTaken = false;
    };
  }

  /** @internal @throws AttentionError "unsupported" for another model's, "disposed" */
  assertOf(config: ModelConfig): void {
    this.assertAlive();
    if (config === this.#config) return;
    throw new AttentionError("unsupported", {
      ...{ subject: "state", expected: "one that this model made", got: "another model's" },
      fix: "Create it with createState() of the model that reads into it.",
    });
  }

  /** @internal */
  get isAlive(): boolean {
    return !this.#destroyed;
  }

  #assertFree(): void {
    this.assertAlive();
    if (!this.#isTaken) return;
    throw new AttentionError("unsupported", {
      ...{ subject: "state", expected: "one call at a time", got: "a state that another call works with" },
      fix: "Wait for the other call, or give each its own copy(), made before.",
    });
  }

  /** @internal Takes over another state of as many sequences, which is none afterwards. @throws AttentionError "disposed" */
  become(other: SequenceState): void {
    if (this.#destroyed) other.destroy();
    this.assertAlive();
    freeBuffers(this.#kept);
    this.#kept = other.#kept;
    this.#capacity = other.#capacity;
    this.restore(other.standing);
    other.#destroyed = true;
  }

  /** @internal As before the last pass, which took so many tokens: caches have them still behind their ends, recurrent layers in the other turn. */
  undo(tokens: number): void {
    this.advance(-tokens);
    this.turn = turnOf(this.turn, 1);
  }

  /** @internal Forgets the last tokens of a sequence, where they can be. */
  shorten(entry: number, tokens: number): void {
    this.lengths[entry]! -= tokens;
    this.totals[entry]! -= tokens;
  }

  /** @internal */
  get standing(): Standing {
    const { lengths, totals, turn } = this;
    return { lengths: [...lengths], totals: [...totals], turn, rules: this.#kept.sinks.rules };
  }

  /** @internal As it was, where nothing was submitted since. */
  restore({ lengths, totals, turn, rules }: Standing): void {
    for (const entry of this.lengths.keys()) {
      this.lengths[entry] = lengths[entry]!;
      this.totals[entry] = totals[entry]!;
    }
    this.turn = turn;
    this.#kept.sinks.rules = rules;
  }

  /** @internal */
  advance(tokens: number): void {
    for (const entry of this.lengths.keys()) {
      this.lengths[entry]! += tokens;
      this.totals[entry]! += tokens;
    }
  }

  /** @internal Whether its last tokens can be forgotten as if they had not been read, which recurrent layers and running sums cannot. */
  get canBeCut(): boolean {
    return !this.#kept.sinks.hasSums && this.layers.every(({ kind }) => kind === "cache");
  }

  /** @internal What is known of the sinks of a layer that a pass looks for. */
  sinksOf(layer: number): FoundSinks {
    return this.#kept.sinks.of(layer);
  }

  /**
   * @internal Before a pass: room for sinks that it looks for where the text begins with it, and the same search where it goes on.
   *
   * @throws AttentionError "unsupported" where earlier tokens were read without looking, "limit", "disposed"
   */
  async prepareSinks(searches: ReadonlyMap<number, SinkSearch>): Promise<void> {
    const begun = this.totals.map((total) => total > 0);
    await this.#addSinks(this.#kept.sinks.missing(searches, begun));
  }

  /** @internal As a pass is recorded. */
  noteSinks(searches: ReadonlyMap<number, SinkSearch>): void {
    this.#kept.sinks.note(searches);
  }

  /** @throws AttentionError "limit", "disposed"; what was known of sinks then stays */
  async #addSinks(layers: readonly LayerRoom[]): Promise<void> {
    // Nothing asks the driver in passes that make no room.
    if (layers.length === 0) return;
    const { sinks } = this.#kept;
    const made = await this.#made(
      () => sinks.makeRoom(this.#ctx, layers),
      ({ buffers }) => {
        for (const buffer of buffers) buffer.destroy();
      },
    );
    sinks.add(made);
  }

  /**
   * @internal Drops tokens behind the first `kept` of each sequence, and closes the gap: what comes after moves to the front, and rotary
   * positions, which count in the cache, with it (StreamingLLM, arXiv 2309.17453). Recurrent layers have nothing to drop.
   *
   * @param counts how many tokens of each sequence go
   */
  evict(encoder: GPUCommandEncoder, kept: number, counts: readonly number[]): void {
    const views = this.layers.flatMap((layer) => (layer.kind === "cache" ? [layer.k, layer.v] : []));
    if (views.length === 0) return;
    const { room } = this.#kept;
    if (!room) throw new TypeError("rows are dropped through a buffer that nobody made");
    for (const view of views)
      for (const [entry, count] of counts.entries())
        dropRows(encoder, view, room, { entry, kept, count, length: this.lengths[entry]! });
    for (const [entry, count] of counts.entries()) this.lengths[entry]! -= count;
    this.#kept.sinks.forget();
  }

  /** @internal What `evict` moves rows through. @throws AttentionError "limit" */
  async prepareEviction(): Promise<void> {
    const rows = this.layers.flatMap((layer) => (layer.kind === "cache" ? [rowBytes(layer.k)] : []));
    if (rows.length === 0 || this.#kept.room) return;
    const bytes = this.capacity * Math.max(...rows);
    this.#kept.room = await this.#made(
      () => moveRoom(this.#ctx, bytes),
      (room) => room.destroy(),
    );
  }

  /** What `make` makes of new buffers, which `drop` takes back where there is no room for them, or the state is gone by then. */
  async #made<Made>(make: () => Made, drop: (made: Made) => void): Promise<Made> {
    const made = await madeInRoom(this.#ctx, this, make, drop);
    if (this.#destroyed) drop(made);
    this.assertAlive();
    return made;
  }

  get bytes(): number {
    const { buffers, sinks, room } = this.#kept;
    return [...buffers, ...sinks.buffers, ...(room ? [room] : [])].reduce((sum, { size }) => sum + size, 0);
  }

  /** @internal @throws AttentionError "disposed" */
  assertAlive(): void {
    if (!this.#destroyed) return;
    throw new AttentionError("disposed", {
      ...{ subject: "state", expected: "a state in use", got: "one after destroy()" },
      fix: "Create a new one, or take a copy() before.",
    });
  }

  destroy(): void {
    if (!this.#destroyed) freeBuffers(this.#kept);
    this.#destroyed = true;
  }
}

/** A state without caches has room for any number of tokens, which is no number to ask for. */
function finite(options: StateOptions): StateOptions {
  return Number.isFinite(options.capacity) ? options : { ...options, capacity: 1 };
}

function checkCount(name: string, count: number): void {
  if (!Number.isInteger(count) || count < 1) throw wrong(name, "an integer of at least 1", String(count));
}

function wrong(subject: string, expected: string, got: string): AttentionError {
  return new AttentionError("shape", { subject, expected, got, fix: "Correct it." });
}
