/** Storage types of a tensor. f16 is two bytes; q8 is one byte with a scale per head and token (k and v only; `q8Layout`). */
export type DType = "f32" | "f16" | "q8";

/** [batch, tokens, heads, dim] */
export type Shape4 = readonly [batch: number, tokens: number, heads: number, dim: number];

/** Shape, element type and memory layout of a tensor, without its buffer. */
export interface TensorLayout {
  readonly dtype: DType;
  /** Logical sizes [batch, tokens, heads, dim]; all at least 1. */
  readonly shape: Shape4;
  /** Distance between neighbours along each axis of `shape`, in elements. Default: contiguous, dim fastest. */
  readonly strides?: Shape4;
  /** Position of element [0, 0, 0, 0] in the buffer, in elements. Default 0. */
  readonly offset?: number;
}

/**
 * A tensor in a GPU buffer: any strided window of it. Plain data; the buffer belongs to whoever created it.
 *
 * A fused qkv buffer [B, T, 3, H, D] is three views with `strides: [T*3*H*D, 3*H*D, D, 1]` and offsets 0, H*D, 2*H*D.
 */
export interface TensorView extends TensorLayout {
  /** Needs `GPUBufferUsage.STORAGE`, and `COPY_SRC` to be read back. */
  readonly buffer: GPUBuffer;
}

/** Strides in elements of a dense row-major tensor of this shape. */
export function contiguousStrides(shape: Shape4): Shape4 {
  const [, t, h, d] = shape;
  return [t * h * d, h * d, d, 1];
}

/** Strides of a layout, filled in where it leaves them out. */
export function stridesOf(layout: TensorLayout): Shape4 {
  return layout.strides ?? contiguousStrides(layout.shape);
}

export function elementCount(shape: Shape4): number {
  return shape[0] * shape[1] * shape[2] * shape[3];
}

export function bytesPerElement(dtype: DType): number {
  return dtype === "f32" ? 4 : dtype === "f16" ? 2 : 1;
}

/** First element and one past the last element that the view touches, in elements of its buffer. */
export function extentOf(layout: TensorLayout): { begin: number; end: number } {
  const strides = stridesOf(layout);
  const begin = layout.offset ?? 0;
  const last = layout.shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, begin);
  return { begin, end: last + 1 };
}
