import { BufferUsage } from "./buffer-usage.js";
import { AttentionError } from "./errors.js";

/**
 * Buffers for what passes hand to each other. Slot n is one buffer that grows in powers of two and is shared by all
 * plans of the context: passes of a queue run in order, and no plan expects its scratch to survive.
 *
 * An outgrown buffer may still be in a command buffer that the application has not submitted, so it lives until
 * `trim()` or `destroy()`. Doubling bounds the sum of outgrown buffers by the size of the current one.
 */
export class ScratchArena {
  readonly #device: GPUDevice;
  readonly #slots: GPUBuffer[] = [];
  #outgrown: GPUBuffer[] = [];
  readonly #held = new Set<GPUBuffer>();
  readonly #data = new Set<GPUBuffer>();
  #fill: number | undefined;
  /** Changes when a slot gets another buffer: who has bound the old one binds again. */
  generation = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The buffer of a slot, at least `bytes` long. Allocates only when the slot has to grow. */
  acquire(slot: number, bytes: number): GPUBuffer {
    const current = this.#slots[slot];
    if (current && current.size >= bytes) return current;
    const size = Math.min(
      this.#device.limits.maxBufferSize,
      Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))),
    );
    const buffer = this.#create(`webgpu-attention scratch ${slot}`, bytes, size);
    if (current) this.#outgrown.push(current);
    this.#slots[slot] = buffer;
    this.generation++;
    return buffer;
  }

  /** A buffer that one plan has for itself, for what has to survive the passes of another plan. It goes with `release`. */
  hold(bytes: number): GPUBuffer {
    const buffer = this.#create("webgpu-attention plan", bytes, Math.ceil(bytes / 4) * 4);
    this.#held.add(buffer);
    return buffer;
  }

  /** Numbers that one plan has for itself and no pass writes. They go with `release`. */
  holdData(words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#create("webgpu-attention plan", words.byteLength, words.byteLength);
    this.#device.queue.writeBuffer(buffer, 0, words);
    this.#data.add(buffer);
    return buffer;
  }

  release(buffer: GPUBuffer): void {
    this.#held.delete(buffer);
    this.#data.delete(buffer);
    buffer.destroy();
  }

  get bytes(): number {
    return [...this.#slots, ...this.#outgrown, ...this.#held, ...this.#data].reduce(
      (sum, buffer) => sum + (buffer?.size ?? 0),
      0,
    );
  }

  /** Fills all scratch, and whatever is allocated later, with one f32 value: tests use NaN to catch reads of stale data. */
  fill(value: number): void {
    this.#fill = value;
    for (const buffer of [...this.#slots, ...this.#held]) if (buffer) this.#write(buffer, value);
  }

  /** Frees outgrown buffers. Call when everything recorded so far has been submitted. */
  trim(): void {
    for (const buffer of this.#outgrown) buffer.destroy();
    this.#outgrown = [];
  }

  destroy(): void {
    this.trim();
    for (const buffer of [...this.#slots, ...this.#held, ...this.#data]) buffer?.destroy();
    this.#slots.length = 0;
    this.#held.clear();
    this.#data.clear();
  }

  #create(label: string, bytes: number, size: number): GPUBuffer {
    const limit = this.#device.limits.maxBufferSize;
    if (bytes > limit) {
      throw new AttentionError("limit", {
        subject: "scratch memory",
        expected: `at most ${limit} bytes (the device's maxBufferSize)`,
        got: `${bytes} bytes`,
        fix: "Split the batch or the heads over several calls.",
      });
    }
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    const buffer = this.#device.createBuffer({ label, size, usage });
    if (this.#fill !== undefined) this.#write(buffer, this.#fill);
    return buffer;
  }

  #write(buffer: GPUBuffer, value: number): void {
    this.#device.queue.writeBuffer(buffer, 0, new Float32Array(Math.floor(buffer.size / 4)).fill(value));
  }
}
