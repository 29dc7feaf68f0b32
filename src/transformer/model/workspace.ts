import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";

/**
 * Buffers by name for what the steps of a forward pass hand to each other. Forward passes of other sizes share them, one running after the
 * other. A buffer that has become too small lives on for the passes that were planned with it, or for commands that are not submitted yet.
 */
export class Workspace {
  readonly #ctx: AttentionContext;
  readonly #buffers = new Map<string, GPUBuffer>();
  #outgrown: GPUBuffer[] = [];

  constructor(ctx: AttentionContext) {
    this.#ctx = ctx;
  }

  /** A dense f32 view. Allocates only where the named buffer is too small. */
  view(name: string, shape: Shape4): TensorView {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    const current = this.#buffers.get(name);
    if (current && current.size >= bytes) return { buffer: current, dtype: "f32", shape };
    if (current) this.#outgrown.push(current);
    const view = this.#ctx.empty(shape);
    this.#buffers.set(name, view.buffer);
    return view;
  }

  get bytes(): number {
    return [...this.#buffers.values(), ...this.#outgrown].reduce((sum, { size }) => sum + size, 0);
  }

  /** Frees buffers that have become too small. Call when nothing that was planned or recorded with them comes any more. */
  trim(): void {
    for (const buffer of this.#outgrown) buffer.destroy();
    this.#outgrown = [];
  }

  destroy(): void {
    this.trim();
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
  }
}
