import { type AttentionContext, AttentionError } from "webgpu-attention";
import { BUFFER_USAGE } from "../buffer-usage.js";
import type { ModelConfig } from "../config/model-config.js";
import { dropRows } from "./drop-rows.js";
import {
  allocator,
  type CacheDType,
  checkCacheDType,
  emptyLayer,
  hasCache,
  type LayerState,
  rowBytes,
  type StateOptions,
} from "./layer-state.js";
import { type FoundSinks, layersOf, SinkMemory } from "./sink-memory.js";
import type { SinkSearch } from "./sink-search.js";

/** One sequence of a state. */
export interface SequenceEntry {
  readonly state: SequenceState;
  /** Which of its sequences. */
  readonly entry: number;
}

/** Buffers of a state, which come and go together. */
interface Kept {
  readonly layers: readonly LayerState[];
  readonly buffers: readonly GPUBuffer[];
  readonly sinks: SinkMemory;
  /** What rows are moved through, as wide as the widest of a sequence; made by the first eviction. */
  room?: GPUBuffer;
}

/**
 * What a batch of sequences keeps between forward passes: keys and values in caches, or recurrent states. Made by `LanguageModel.createState`; its
 * buffers are its own, until `destroy()`.
 */
export class SequenceState {
  readonly #ctx: AttentionContext;
  readonly #config: ModelConfig;
  #kept: Kept;
  #capacity: number;
  #destroyed = false;
  readonly dtype: CacheDType;
  readonly batches: number;
  /** Tokens of each sequence that are in the caches. */
  readonly lengths: number[];
  /** Tokens of each sequence so far, whatever its caches have forgotten. */
  readonly totals: number[];
  /** Which of the two tensors of a recurrent layer holds what is left: changes with every pass. */
  turn: 0 | 1 = 0;

  private constructor(ctx: AttentionContext, config: ModelConfig, options: StateOptions, kept: Kept) {
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
    return new SequenceState(ctx, config, sized, await keep(ctx, config, sized));
  }

  /**
   * Copies of sequences, of several states or one sequence several times, side by side in a new state. Submits the copies.
   *
   * @param capacity at least as long as each of them
   * @throws AttentionError "limit", "shape", "disposed"
   */
  static async join(sequences: readonly SequenceEntry[], capacity: number): Promise<SequenceState> {
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
    const { sinks } = joined.#kept;
    try {
      await joined.#addSinks(layersOf(sequences.map(({ state }) => state.#kept.sinks)));
    } catch (error) {
      joined.destroy();
      throw error;
    }
    const encoder = first.#ctx.device.createCommandEncoder({ label: "join sequences" });
    for (const [index, { state, entry }] of sequences.entries()) {
      joined.lengths[index] = state.lengths[entry]!;
      joined.totals[index] = state.totals[entry]!;
      for (const [n, layer] of state.layers.entries())
        copyLayer(encoder, layer, joined.layers[n]!, { state, entry, joined, index });
      const places = { from: { entry, turn: state.turn }, to: { entry: index, turn: joined.turn } };
      sinks.copy(encoder, state.#kept.sinks, places);
    }
    first.#ctx.device.queue.submit([encoder.finish()]);
    return joined;
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
   * @throws AttentionError "limit", "shape", "disposed"
   */
  copy(capacity = this.capacity): Promise<SequenceState> {
    return SequenceState.join(
      this.lengths.map((_, entry) => ({ state: this, entry })),
      capacity,
    );
  }

  /**
   * Room for so many tokens, where there is less: the past is copied once.
   *
   * @throws AttentionError "limit", "shape", "disposed"; the state is then as it was
   */
  async reserve(capacity: number): Promise<void> {
    checkCount("capacity", capacity);
    this.assertAlive();
    if (capacity > this.capacity) this.become(await this.copy(capacity));
  }

  /** @internal Takes over another state of as many sequences, which is none afterwards. */
  become(other: SequenceState): void {
    free(this.#kept);
    this.#kept = other.#kept;
    this.#capacity = other.#capacity;
    this.reset(other.lengths, other.totals, other.turn);
    other.#destroyed = true;
  }

  /** @internal As before the last pass, which took so many tokens: caches have them still behind their ends, recurrent layers in the other turn. */
  undo(tokens: number): void {
    this.advance(-tokens);
    this.turn = this.turn === 0 ? 1 : 0;
  }

  /** @internal As it was: of lengths, totals and turn alone. */
  reset(lengths: readonly number[], totals: readonly number[], turn: 0 | 1): void {
    for (const entry of this.lengths.keys()) {
      this.lengths[entry] = lengths[entry]!;
      this.totals[entry] = totals[entry]!;
    }
    this.turn = turn;
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
   * @throws AttentionError "unsupported" where earlier tokens were read without looking, "limit"
   */
  async prepareSinks(searches: ReadonlyMap<number, SinkSearch>): Promise<void> {
    const begun = this.totals.map((total) => total > 0);
    const { sinks } = this.#kept;
    await this.#addSinks(sinks.missing(searches, begun));
    sinks.note(searches);
  }

  /** @throws AttentionError "limit" */
  async #addSinks(layers: Parameters<SinkMemory["add"]>[1]): Promise<void> {
    const ctx = this.#ctx;
    // Nothing asks the driver in passes that make no room.
    if (layers.length > 0) await madeInRoom(ctx, this, () => this.#kept.sinks.add(ctx, layers));
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
    this.#kept.room = await madeInRoom(this.#ctx, this, () => moveRoom(this.#ctx, bytes));
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
    if (!this.#destroyed) free(this.#kept);
    this.#destroyed = true;
  }
}

/** Buffers of all layers, or none of them. */
async function keep(ctx: AttentionContext, config: ModelConfig, options: StateOptions): Promise<Kept> {
  const buffers: GPUBuffer[] = [];
  try {
    const allocate = allocator(ctx, (buffer) => buffers.push(buffer));
    const layers = await madeInRoom(ctx, options, () =>
      config.layers.map(({ attention }) => emptyLayer(allocate, attention, options)),
    );
    return { layers, buffers, sinks: new SinkMemory(options) };
  } catch (error) {
    for (const buffer of buffers) buffer.destroy();
    throw error;
  }
}

/** What `make` makes of new buffers. @throws AttentionError "limit" where the driver has no room for them, and what `make` throws */
async function madeInRoom<Made>(
  { device }: AttentionContext,
  sizes: Pick<StateOptions, "batches" | "capacity">,
  make: () => Made,
): Promise<Made> {
  device.pushErrorScope("out-of-memory");
  let result: { readonly made: Made } | { readonly thrown: unknown };
  try {
    result = { made: make() };
  } catch (thrown) {
    result = { thrown };
  }
  const full = await device.popErrorScope().catch(() => null);
  if ("thrown" in result) throw result.thrown;
  if (full) throw noRoom(sizes, full.message);
  return result.made;
}

function free(kept: Kept): void {
  for (const buffer of kept.buffers) buffer.destroy();
  kept.sinks.destroy();
  kept.room?.destroy();
}

/** A buffer cannot be copied within itself. */
function moveRoom({ device }: AttentionContext, bytes: number): GPUBuffer {
  const usage = BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
  return device.createBuffer({ size: 4 * Math.ceil(bytes / 4), usage, label: "moved keys" });
}

interface Places extends SequenceEntry {
  readonly joined: SequenceState;
  readonly index: number;
}

function copyLayer(encoder: GPUCommandEncoder, from: LayerState, to: LayerState, places: Places): void {
  const { state, entry, joined, index } = places;
  if (from.kind === "cache" && to.kind === "cache") {
    for (const name of ["k", "v"] as const) {
      const row = rowBytes(from[name]);
      const [source, target] = [entry * state.capacity * row, index * joined.capacity * row];
      const bytes = state.lengths[entry]! * row;
      encoder.copyBufferToBuffer(from[name].buffer, source, to[name].buffer, target, bytes);
    }
  } else if (from.kind === "recurrent" && to.kind === "recurrent") {
    const [source, target] = [from.turns[state.turn], to.turns[joined.turn]];
    const bytes = 4 * source.shape[1] * source.shape[2] * source.shape[3];
    encoder.copyBufferToBuffer(source.buffer, entry * bytes, target.buffer, index * bytes, bytes);
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

function noRoom(
  { batches, capacity }: Pick<StateOptions, "batches" | "capacity">,
  got: string,
): AttentionError {
  return new AttentionError("limit", {
    subject: `caches of ${batches} sequences of ${capacity} tokens`,
    ...{ expected: "enough GPU memory", got },
    fix: "Ask for a smaller capacity, keep keys and values in f16 or q8, or free other buffers.",
  });
}
