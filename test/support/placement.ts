import type { AttentionContext } from "../../src/dispatch/context.js";
import {
  elementCount,
  extentOf,
  type Shape4,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";

/** Where a tensor lies in its buffer, whatever its shape. */
export interface Placement {
  /** The axes of [batch, tokens, heads, dim] from the outermost in memory to the innermost. */
  readonly order: readonly number[];
  /** Elements left free after each axis. */
  readonly padding: readonly number[];
  /** Elements left free before the first. */
  readonly offset: number;
}

export type PlacedLayout = TensorLayout & { readonly strides: Shape4; readonly offset: number };

export function placedLayout(shape: Shape4, dtype: "f32" | "f16", placement: Placement): PlacedLayout {
  const strides = [0, 0, 0, 0] as [number, number, number, number];
  let stride = 1;
  for (const axis of placement.order.toReversed()) {
    strides[axis] = stride;
    stride *= shape[axis]! + placement.padding[axis]!;
  }
  return { dtype, shape, strides, offset: placement.offset };
}

/** Elements of a buffer that holds the layout and a few beyond its end. */
export function placedSize(layout: PlacedLayout): number {
  return extentOf(layout).end + 5;
}

/** The buffer's contents: `data` in its places and NaN, which no result survives, in all others. */
export function placedData(layout: PlacedLayout, data: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const memory = new Float32Array(placedSize(layout)).fill(Number.NaN);
  for (const [index, place] of places(layout).entries()) memory[place] = data[index]!;
  return memory;
}

const DENSE: Placement = { order: [0, 1, 2, 3], padding: [0, 0, 0, 0], offset: 0 };

/** Makes tensors where they are to lie, dense by default; full of NaN without data. Buffers are the caller's to destroy. */
export function placer<Name extends string>(
  ctx: AttentionContext,
  placements: Partial<Readonly<Record<Name, Placement>>> = {},
) {
  return (
    name: Name,
    shape: Shape4,
    data?: ArrayLike<number>,
    dtype: "f32" | "f16" = "f32",
  ): TensorView & PlacedLayout => {
    const layout = placedLayout(shape, dtype, placements[name] ?? DENSE);
    const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
    return { ...layout, buffer: ctx.fromArray(memory, [1, 1, 1, memory.length], dtype).buffer };
  };
}

/** Positions in the buffer of all elements, in logical order. */
export function places(layout: TensorLayout): number[] {
  const strides = stridesOf(layout);
  return Array.from({ length: elementCount(layout.shape) }, (_, index) => {
    let [rest, place] = [index, layout.offset ?? 0];
    for (const axis of [3, 2, 1, 0]) {
      place += (rest % layout.shape[axis]!) * strides[axis]!;
      rest = Math.floor(rest / layout.shape[axis]!);
    }
    return place;
  });
}
