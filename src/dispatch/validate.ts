import type { Capabilities } from "./capabilities.js";
import { checkUsage, fail } from "./check.js";
import { AttentionError } from "./errors.js";
import {
  bytesPerElement,
  type DType,
  extentOf,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "./tensor-view.js";

/** Before each row of a q8 tensor. */
export const Q8_SCALE_BYTES = 4;
/** Element positions are u32 in every kernel. */
const MAX_ELEMENTS = 2 ** 32 - 1;
const AXES = ["batch", "tokens", "heads", "dim"] as const;

/** Refuses options that the operation does not know: a misspelt one must not be ignored. */
export function checkOptions(subject: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    fail("shape", `${subject} options`, "an object", show(options), "Leave them out for the defaults.");
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new AttentionError("unsupported", {
      subject: `${subject} option "${name}"`,
      expected: `one of ${known.join(", ")}`,
      got: `"${name}"`,
      fix: "Check the spelling, or leave the option out.",
    });
  }
}

/** Shape, strides, offset and dtype of a tensor; its buffer is not looked at. */
export function checkLayout(name: string, layout: TensorLayout, dtypes: readonly DType[]): void {
  if (typeof layout !== "object" || layout === null) {
    fail(
      "shape",
      name,
      "a tensor view { buffer, dtype, shape }",
      String(layout),
      "Make one with ctx.fromArray(data, shape).",
    );
  }
  const { shape, dtype, offset = 0 } = layout;
  if (!dtypes.includes(dtype)) {
    fail(
      "dtype",
      `${name}.dtype`,
      dtypes.map((known) => `"${known}"`).join(" or "),
      show(dtype),
      "Convert the data first.",
    );
  }
  if (!isFour(shape)) {
    fail(
      "shape",
      `${name}.shape`,
      "four sizes [batch, tokens, heads, dim]",
      show(shape),
      "Add axes of size 1 where one is missing.",
    );
  }
  // Array.from: forEach would pass over the holes of a sparse array.
  Array.from(shape).forEach((size, axis) => {
    if (Number.isSafeInteger(size) && size >= 1) return;
    fail(
      "shape",
      `${name}.shape[${axis}] (${AXES[axis]})`,
      "an integer of at least 1",
      show(size),
      "Skip the call when there is nothing to compute.",
    );
  });
  if (layout.strides !== undefined && !isFour(layout.strides)) {
    fail(
      "shape",
      `${name}.strides`,
      "four strides in elements",
      show(layout.strides),
      "Leave strides out for a dense tensor.",
    );
  }
  for (const [axis, stride] of stridesOf(layout).entries()) {
    if (Number.isSafeInteger(stride) && stride >= 0) continue;
    fail(
      "shape",
      `${name}.strides[${axis}] (${AXES[axis]})`,
      "an integer of at least 0",
      show(stride),
      "Strides count elements; reversed axes are not supported.",
    );
  }
  if (!Number.isSafeInteger(offset) || offset < 0) {
    fail(
      "shape",
      `${name}.offset`,
      "an integer of at least 0, in elements",
      show(offset),
      "Offsets count elements, not bytes.",
    );
  }
  const { end } = extentOf(layout);
  if (end > MAX_ELEMENTS) {
    fail(
      "limit",
      name,
      `a tensor that ends within ${MAX_ELEMENTS} elements of its buffer`,
      `element ${end - 1}`,
      "Split the tensor over several buffers.",
    );
  }
}

/** The buffer behind a view: present, large enough, usable as storage, bindable on this device, not mapped. */
export function checkBuffer(name: string, view: TensorView, capabilities: Capabilities): void {
  const buffer = view.buffer as GPUBuffer | undefined;
  if (!buffer || typeof buffer.size !== "number" || typeof buffer.usage !== "number") {
    fail(
      "shape",
      `${name}.buffer`,
      "a GPUBuffer",
      show(buffer),
      "Upload the data with ctx.fromArray(data, shape).",
    );
  }
  // Bindings are multiples of four bytes, so an odd number of halves takes the next whole word.
  const bytes = Math.ceil((extentOf(view).end * bytesPerElement(view.dtype)) / 4) * 4;
  if (bytes > buffer.size) {
    fail(
      "shape",
      `${name}.buffer`,
      `at least ${bytes} bytes for shape [${view.shape}] with strides [${stridesOf(view)}] and offset ${view.offset ?? 0}`,
      `${buffer.size} bytes`,
      "Make the buffer larger or correct shape, strides and offset (all in elements).",
    );
  }
  checkUsage(`${name}.buffer.usage`, buffer, "STORAGE");
  if (buffer.mapState !== undefined && buffer.mapState !== "unmapped") {
    fail(
      "unsupported",
      `${name}.buffer`,
      "an unmapped buffer",
      `a buffer that is ${buffer.mapState}`,
      "Call buffer.unmap() first.",
    );
  }
  const { offset, size } = bindingRange(view, capabilities);
  const limit = capabilities.limits.maxStorageBufferBindingSize;
  if (size > limit) {
    fail(
      "limit",
      name,
      `a window of at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${size} bytes from byte ${offset}`,
      "Request the device with AttentionContext.requirements(adapter), or split heads or batch over several calls.",
    );
  }
}

/** Outputs are written by many threads at once: two elements must never share a place, nor an output an input's buffer. */
export function checkOutput(
  name: string,
  view: TensorView,
  inputs: Readonly<Record<string, GPUBuffer | readonly GPUBuffer[] | undefined>>,
): void {
  const axes = stridesOf(view)
    .map((stride, axis) => ({ stride, size: view.shape[axis]! }))
    .filter(({ size }) => size > 1)
    .sort((a, b) => a.stride - b.stride);
  let span = 1;
  for (const { stride, size } of axes) {
    if (stride < span) {
      fail(
        "shape",
        `${name}.strides`,
        "strides that give every element its own place",
        `[${stridesOf(view)}] for shape [${view.shape}]`,
        "Outputs cannot be broadcast or overlap.",
      );
    }
    span = stride * (size - 1) + span;
  }
  for (const [input, buffer] of Object.entries(inputs)) {
    if (Array.isArray(buffer) ? !buffer.includes(view.buffer) : buffer !== view.buffer) continue;
    fail(
      "unsupported",
      `${name}.buffer`,
      `a buffer of its own`,
      `the buffer of ${input}`,
      "WebGPU forbids reading and writing one buffer in one dispatch: allocate a separate output buffer.",
    );
  }
}

export interface BufferRange {
  readonly buffer: GPUBuffer;
  /** Bytes, a multiple of the device's storage offset alignment. */
  readonly offset: number;
  /** Bytes, a multiple of 4. */
  readonly size: number;
}

/**
 * The part of a buffer to bind for a view, and where the view's first element lies in it: bindings start at aligned
 * offsets only, so the rest of the view's offset goes to the kernel as `base`, in elements.
 */
export function bindingRange(
  layout: TensorLayout,
  capabilities: Capabilities,
): { offset: number; size: number; base: number } {
  const element = bytesPerElement(layout.dtype);
  const { begin: first, end } = extentOf(layout);
  // The scale of a q8 row is the word before it, and has to be bound with it.
  const before = layout.dtype === "q8" ? Q8_SCALE_BYTES : 0;
  const begin = Math.max(0, first - before);
  const alignment = capabilities.limits.minStorageBufferOffsetAlignment;
  const offset = Math.floor((begin * element) / alignment) * alignment;
  return { offset, size: Math.ceil((end * element - offset) / 4) * 4, base: first - offset / element };
}

function isFour(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length === 4;
}

function show(value: unknown): string {
  if (typeof value === "string") return `"${value}"`;
  if (Array.isArray(value)) return `[${value.join(", ")}]`;
  return String(value);
}
