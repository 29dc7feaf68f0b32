import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";

/**
 * Buffers by name for what the steps of a model hand to each other. A buffer grows to the largest shape asked for and is
 * shared by all shapes; its contents last until the next forward pass.
 *
 * An outgrown buffer may be in commands that are recorded but not submitted, so it lives until `trim()` or `destroy()`.
 */
export class ActivationBuffers {
  readonly #ctx: AttentionContext;
  readonly #buffers = new Map<string, GPUBuffer>();
  #outgrown: GPUBuffer[] = [];

  constructor(ctx: AttentionContext) {
    this.#ctx = ctx;
  }

  /** A dense f32 view of the named buffer. Allocates only where the buffer is too small. */
  view(name: string, shape: Shape4): TensorView {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    const current = this.#buffers.get(name);
    if (current && current.size >= bytes) return { buffer: current, dtype: "f32", shape };
    if (current) this.#outgrown.push(current);
    const view = this.#ctx.empty(shape);
    this.#buffers.set(name, view.buffer);
    return view;
  }

  /** Frees outgrown buffers. Call when everything recorded so far has been submitted. */
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
