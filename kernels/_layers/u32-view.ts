import type { Shape4, TensorView } from "../../src/dispatch/tensor-view.js";

/** A buffer of u32 as the tensor checks know it. Elements are four bytes, and the kernel, not the view, says of what type. */
export function u32View(buffer: GPUBuffer, shape: Shape4): TensorView {
  return { buffer, dtype: "f32", shape };
}
