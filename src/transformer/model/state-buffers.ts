import { type AttentionContext, AttentionError } from "webgpu-attention";
import { BUFFER_USAGE } from "../buffer-usage.js";
import type { ModelConfig } from "../config/model-config.js";
import { allocator, emptyLayer, type LayerState, type StateOptions } from "./layer-state.js";
import { SinkMemory } from "./sink-memory.js";

/** Buffers of a state, which come and go together. */
export interface StateBuffers {
  readonly layers: readonly LayerState[];
  readonly buffers: readonly GPUBuffer[];
  readonly sinks: SinkMemory;
  /** What rows are moved through, as wide as the widest of a sequence; made by the first eviction. */
  room?: GPUBuffer;
}

/** Buffers of all layers, or none of them. */
export async function makeBuffers(
  ctx: AttentionContext,
  config: ModelConfig,
  options: StateOptions,
): Promise<StateBuffers> {
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

/**
 * What `make` makes of new buffers.
 *
 * @param drop takes it back
 * @throws AttentionError "limit" where the driver has no room for them, and what `make` throws
 */
export async function madeInRoom<Made>(
  { device }: AttentionContext,
  sizes: Pick<StateOptions, "batches" | "capacity">,
  make: () => Made,
  drop?: (made: Made) => void,
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
  if (!full) return result.made;
  drop?.(result.made);
  throw noRoom(sizes, full.message);
}

export function freeBuffers(kept: StateBuffers): void {
  for (const buffer of kept.buffers) buffer.destroy();
  kept.sinks.destroy();
  kept.room?.destroy();
}

/** What rows are moved through: a buffer cannot be copied within itself. */
export function moveRoom({ device }: AttentionContext, bytes: number): GPUBuffer {
  const usage = BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
  return device.createBuffer({ size: 4 * Math.ceil(bytes / 4), usage, label: "moved keys" });
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
