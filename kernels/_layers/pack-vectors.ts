import { checkUsage, fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { extentOf, stridesOf, type TensorView } from "../../src/dispatch/tensor-view.js";
import { checkShape } from "./layouts.js";

/** Vectors of a layer by name: norm weights and biases. */
export type Vectors = Readonly<Record<string, TensorView | undefined>>;

/** @throws AttentionError "shape", "dtype", "unsupported" unless it is a dense f32 vector [1, 1, 1, length] that can be copied */
export function checkVector(name: string, view: TensorView, length: number): void {
  checkShape(name, view, [1, 1, 1, length]);
  if (stridesOf(view)[3] !== 1)
    fail("shape", `${name}.strides[3] (dim)`, "1", stridesOf(view)[3], "Store vectors densely.");
  const bytes = 4 * extentOf(view).end;
  const size = view.buffer?.size;
  if (!(size >= bytes)) fail("shape", `${name}.buffer`, `at least ${bytes} bytes`, size, "Make it larger.");
  checkUsage(`${name}.buffer usage`, view.buffer, "COPY_SRC");
}

/** Where each vector lies among all of them, in elements; multiples of four, so that they are read four at a time. */
export function vectorPlaces(vectors: Vectors): {
  readonly bases: Readonly<Record<string, number>>;
  readonly size: number;
} {
  const bases: Record<string, number> = {};
  let size = 0;
  for (const [name, view] of Object.entries(vectors)) {
    bases[name] = size;
    if (view) size += Math.ceil(view.shape[3] / 4) * 4;
  }
  return { bases, size };
}

/**
 * Copies a layer's vectors into one buffer, which is the plan's: a kernel binds eight, and each by itself would be one. Submits. The buffer is held by
 * the context's scratch, and released to it.
 *
 * @throws AttentionError "limit", "disposed", "device-lost"
 */
export async function packVectors(ctx: AttentionContext, vectors: Vectors): Promise<GPUBuffer | undefined> {
  const { bases, size } = vectorPlaces(vectors);
  if (size === 0) return undefined;
  const buffer = ctx.scratch.holdData(new Uint32Array(size));
  try {
    await ctx.submitChecked((encoder) => {
      for (const [name, view] of Object.entries(vectors)) {
        if (!view) continue;
        const { buffer: from, offset = 0, shape } = view;
        encoder.copyBufferToBuffer(from, 4 * offset, buffer, 4 * bases[name]!, 4 * shape[3]);
      }
    });
  } catch (error) {
    ctx.scratch.release(buffer);
    throw error;
  }
  return buffer;
}
