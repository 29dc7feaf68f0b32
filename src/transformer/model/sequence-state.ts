import { type AttentionContext, AttentionError, type Shape4, type TensorView } from "webgpu-attention";
import { flowStateShape } from "webgpu-attention/flow";
import { BUFFER_USAGE } from "../buffer-usage.js";
import type { AttentionConfig, ModelConfig } from "../config/model-config.js";

/** Storage of cached keys and values. */
export type CacheDType = "f32" | "f16";

/** Keys (unrotated) and values of all tokens so far, [B, capacity, Hkv, D]. */
export interface KeyValueCache {
  readonly kind: "cache";
  readonly k: TensorView;
  readonly v: TensorView;
}

/** What is left of all tokens so far, in two tensors taken in turn: a pass reads one and writes the other. */
export interface RecurrentState {
  readonly kind: "recurrent";
  readonly turns: readonly [TensorView, TensorView];
}

export type LayerState = KeyValueCache | RecurrentState;

export interface StateOptions {
  readonly batches: number;
  /** Tokens that caches have room for; even where they are f16. */
  readonly capacity: number;
  readonly dtype: CacheDType;
}

/** What a batch of sequences keeps between forward passes. Buffers are its own, until `destroy()`. */
export class SequenceState {
  readonly #ctx: AttentionContext;
  readonly #config: ModelConfig;
  #moved: GPUBuffer | undefined;
  readonly #outgrown: GPUBuffer[] = [];
  readonly dtype: CacheDType;
  readonly batches: number;
  /** Tokens that the caches have room for. */
  readonly capacity: number;
  readonly layers: readonly LayerState[];
  /** Tokens of each sequence so far. */
  readonly lengths: number[];
  /** Which of the two tensors of a recurrent layer holds what is left: changes with every pass. */
  turn: 0 | 1 = 0;

  private constructor(ctx: AttentionContext, config: ModelConfig, options: StateOptions) {
    this.#ctx = ctx;
    this.#config = config;
    this.batches = options.batches;
    this.capacity = options.capacity;
    this.dtype = options.dtype;
    this.layers = config.layers.map(({ attention }) => layerState(ctx, attention, options));
    this.lengths = Array.from({ length: options.batches }, () => 0);
  }

  /**
   * Empty sequences. WebGPU clears new buffers: a recurrent state begins at zero.
   *
   * @throws AttentionError "limit" when the caches do not fit, "unsupported" for attention that does not go from token to token
   */
  static create(ctx: AttentionContext, config: ModelConfig, options: StateOptions): SequenceState {
    return new SequenceState(ctx, config, options);
  }

  /** Copies of sequences, of several states or one sequence several times, side by side in a new state. Submits the copies. */
  static join(
    sequences: readonly { readonly state: SequenceState; readonly entry: number }[],
    capacity: number,
  ): SequenceState {
    const { state: first } = sequences[0]!;
    const joined = new SequenceState(first.#ctx, first.#config, {
      ...{ batches: sequences.length, capacity, dtype: first.dtype },
    });
    const encoder = first.#ctx.device.createCommandEncoder({ label: "join sequences" });
    sequences.forEach(({ state, entry }, index) => {
      joined.lengths[index] = state.lengths[entry]!;
      state.layers.forEach((layer, n) => {
        copyLayer(encoder, layer, joined.layers[n]!, { state, entry, joined, index });
      });
    });
    first.#ctx.device.queue.submit([encoder.finish()]);
    return joined;
  }

  /** A copy with room for `capacity` tokens: a snapshot to come back to, or a cache that has to grow. The past is copied once. */
  copy(capacity = this.capacity): SequenceState {
    return SequenceState.join(
      this.lengths.map((_, entry) => ({ state: this, entry })),
      capacity,
    );
  }

  /**
   * Drops tokens behind the first `kept` of each sequence, and closes the gap: what comes after moves to the front, and rotary positions,
   * which count in the cache, with it (StreamingLLM, arXiv 2309.17453). Recurrent layers have nothing to drop.
   *
   * @param counts how many tokens of each sequence go
   */
  evict(encoder: GPUCommandEncoder, kept: number, counts: readonly number[]): void {
    for (const layer of this.layers) {
      if (layer.kind !== "cache") continue;
      for (const view of [layer.k, layer.v]) {
        const row = rowBytes(view);
        for (const [entry, length] of this.lengths.entries()) {
          const count = counts[entry]!;
          const begin = (entry * this.capacity + kept) * row;
          const moved = (length - kept - count) * row;
          if (count <= 0 || moved <= 0) continue;
          const room = this.#room(moved);
          encoder.copyBufferToBuffer(view.buffer, begin + count * row, room, 0, moved);
          encoder.copyBufferToBuffer(room, 0, view.buffer, begin, moved);
        }
      }
    }
    for (const [entry, count] of counts.entries())
      this.lengths[entry] = Math.max(this.lengths[entry]! - count, 0);
  }

  /** A buffer cannot be copied within itself. */
  #room(bytes: number): GPUBuffer {
    if (this.#moved && this.#moved.size >= bytes) return this.#moved;
    if (this.#moved) this.#outgrown.push(this.#moved);
    const usage = BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
    this.#moved = this.#ctx.device.createBuffer({ size: bytes, usage, label: "moved keys" });
    return this.#moved;
  }

  get bytes(): number {
    return this.#buffers().reduce((sum, { size }) => sum + size, 0);
  }

  destroy(): void {
    for (const buffer of this.#buffers()) buffer.destroy();
  }

  #buffers(): GPUBuffer[] {
    const kept = this.layers.flatMap((layer) =>
      (layer.kind === "cache" ? [layer.k, layer.v] : layer.turns).map(({ buffer }) => buffer),
    );
    return [...kept, ...(this.#moved ? [this.#moved] : []), ...this.#outgrown];
  }
}

/** Bytes of a token of a cache. */
function rowBytes({ shape, dtype }: TensorView): number {
  return shape[2] * shape[3] * (dtype === "f16" ? 2 : 4);
}

interface Places {
  readonly state: SequenceState;
  readonly entry: number;
  readonly joined: SequenceState;
  readonly index: number;
}

function copyLayer(
  encoder: GPUCommandEncoder,
  from: LayerState,
  to: LayerState,
  { state, entry, joined, index }: Places,
): void {
  if (from.kind === "cache" && to.kind === "cache") {
    for (const name of ["k", "v"] as const) {
      const row = rowBytes(from[name]);
      const bytes = state.lengths[entry]! * row;
      const source = entry * state.capacity * row;
      encoder.copyBufferToBuffer(
        from[name].buffer,
        source,
        to[name].buffer,
        index * joined.capacity * row,
        bytes,
      );
    }
  } else if (from.kind === "recurrent" && to.kind === "recurrent") {
    const [source, target] = [from.turns[state.turn], to.turns[joined.turn]];
    const bytes = 4 * source.shape[1] * source.shape[2] * source.shape[3];
    encoder.copyBufferToBuffer(source.buffer, entry * bytes, target.buffer, index * bytes, bytes);
  }
}

function layerState(
  ctx: AttentionContext,
  attention: AttentionConfig,
  {
    batches,
    capacity,
    dtype,
  }: { readonly batches: number; readonly capacity: number; readonly dtype: CacheDType },
): LayerState {
  const { mechanism, heads, kvHeads, headDim } = attention;
  const two = (shape: Shape4, type: CacheDType) => [ctx.empty(shape, type), ctx.empty(shape, type)] as const;
  switch (mechanism) {
    case "softmax":
    case "sale":
    case "moh": {
      const [k, v] = two([batches, capacity, kvHeads, headDim], dtype);
      return { kind: "cache", k, v };
    }
    case "lightning": {
      // LRPE makes two channels of one.
      const dim = attention.lrpe ? 2 * headDim : headDim;
      return { kind: "recurrent", turns: two([batches, heads, dim, headDim], "f32") };
    }
    case "flow":
      return { kind: "recurrent", turns: two(flowStateShape(batches, heads, headDim, headDim), "f32") };
    case "agent":
      throw new AttentionError("unsupported", {
        subject: "agent attention",
        expected: "a mechanism that goes from token to token",
        got: "one whose agents look at all tokens",
        fix: "Use it in image models.",
      });
  }
}
