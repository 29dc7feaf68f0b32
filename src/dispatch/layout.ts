import type { Capabilities } from "./capabilities.js";
import { expectEqual, fail } from "./check.js";
import {
  bytesPerElement,
  type DType,
  elementCount,
  type Shape4,
  stridesOf,
  type TensorLayout,
} from "./tensor-view.js";
import type { UniformValues } from "./uniforms.js";
import { bindingRange, checkLayout } from "./validate.js";

/** Whether every row starts at a multiple of four elements, has a multiple of four channels, and these are neighbours. */
export function isVec4(layout: TensorLayout, capabilities: Capabilities): boolean {
  const [sb, st, sh, sd] = stridesOf(layout);
  const aligned = [layout.shape[3], sb, st, sh, bindingRange(layout, capabilities).base];
  return sd === 1 && aligned.every((value) => value % 4 === 0);
}

/** [B, T, H, 1] f32 with each head's tokens side by side: a number for each row, or for each key of a head. */
export function byHeadLayout(batches: number, tokens: number, heads: number): TensorLayout {
  return { dtype: "f32", shape: [batches, tokens, heads, 1], strides: [heads * tokens, 1, tokens, 1] };
}

/** Bytes of all elements, each counted once. */
export function bytesOf(...layouts: (TensorLayout | undefined)[]): number {
  return layouts.reduce(
    (sum, layout) => sum + (layout ? bytesPerElement(layout.dtype) * elementCount(layout.shape) : 0),
    0,
  );
}

/** @throws AttentionError "limit" when a tensor is more than one binding holds */
export function checkBindable(
  layouts: Readonly<Record<string, TensorLayout | undefined>>,
  capabilities: Capabilities,
): void {
  const limit = capabilities.limits.maxStorageBufferBindingSize;
  for (const [name, layout] of Object.entries(layouts)) {
    const size = layout ? bindingRange(layout, capabilities).size : 0;
    if (size <= limit) continue;
    fail(
      "limit",
      name,
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${size} bytes`,
      "Request the device with AttentionContext.requirements(adapter), or split heads or batch over several calls.",
    );
  }
}

const MAX_HEAD_DIM = 256;

/** @throws AttentionError "unsupported" for heads that are wider than any kernel takes */
export function checkHeadDims(layouts: Readonly<Record<string, Pick<TensorLayout, "shape">>>): void {
  for (const [name, { shape }] of Object.entries(layouts)) {
    if (shape[3] <= MAX_HEAD_DIM) continue;
    const fix = "Split wide heads into several.";
    fail("unsupported", `${name}.shape[3] (dim)`, `at most ${MAX_HEAD_DIM}`, shape[3], fix);
  }
}

/** @throws AttentionError as `checkLayout`, and "shape" for any other shape */
export function expectShape(
  name: string,
  layout: TensorLayout,
  shape: Shape4,
  dtypes: readonly DType[],
): void {
  checkLayout(name, layout, dtypes);
  layout.shape.forEach((size, axis) => {
    expectEqual(`${name}.shape[${axis}]`, size, shape[axis]!, `shape [${shape}]`);
  });
}

/**
 * An f32 layout whose axes of size 1 are repeated along `full`: its strides there are 0.
 *
 * @param axes says what the axes are
 * @throws AttentionError as `checkLayout`, and "shape" for sizes that are neither 1 nor those of `full`
 */
export function broadcastLayout(
  name: string,
  layout: TensorLayout,
  full: Shape4,
  axes: string,
): TensorLayout {
  checkLayout(name, layout, ["f32"]);
  const strides = stridesOf(layout).map((stride, axis) => {
    const size = layout.shape[axis]!;
    if (size !== 1 && size !== full[axis])
      fail("shape", `${name}.shape[${axis}]`, `1 or ${full[axis]}`, size, axes);
    return size === 1 ? 0 : stride;
  });
  const { shape, offset = 0 } = layout;
  return { dtype: "f32", shape, strides: strides as unknown as Shape4, offset };
}

/** The same elements with the last two axes exchanged. */
export function transposed(layout: TensorLayout): TensorLayout {
  const [a, b, rows, columns] = layout.shape;
  const [strideA, strideB, strideRows, strideColumns] = stridesOf(layout);
  return { ...layout, shape: [a, b, columns, rows], strides: [strideA, strideB, strideColumns, strideRows] };
}

/** `strides_NAME` and `base_NAME`, as kernels' uniforms have them, for each layout. */
export function layoutUniforms(
  layouts: Readonly<Record<string, TensorLayout>>,
  capabilities: Capabilities,
): UniformValues {
  return Object.fromEntries(
    Object.entries(layouts).flatMap(([name, layout]) => [
      [`strides_${name}`, stridesOf(layout)],
      [`base_${name}`, bindingRange(layout, capabilities).base],
    ]),
  );
}
