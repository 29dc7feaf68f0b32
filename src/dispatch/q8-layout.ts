import type { Capabilities } from "./capabilities.js";
import { fail } from "./check.js";
import { type Shape4, stridesOf, type TensorLayout } from "./tensor-view.js";
import { bindingRange, Q8_SCALE_BYTES } from "./validate.js";

/**
 * A dense q8 tensor: for each batch entry, token and head an f32 scale, and behind it `dim` int8 values n, each the number scale * n.
 * Strides and offset count bytes; the buffer has (4 + dim) bytes for each row. `dim` is a multiple of four.
 */
export function q8Layout(shape: Shape4): TensorLayout {
  const [, tokens, heads, dim] = shape;
  const row = Q8_SCALE_BYTES + dim;
  return { dtype: "q8", shape, strides: [tokens * heads * row, heads * row, row, 1], offset: Q8_SCALE_BYTES };
}

/** Whether each row has room for its scale, whatever the order of the axes in memory. Rows may be repeated: a prefix that sequences share. */
function rowsApart(shape: Shape4, strides: Shape4): boolean {
  const axes = strides
    .slice(0, 3)
    .map((stride, axis) => ({ stride, size: shape[axis]! }))
    .filter(({ stride, size }) => size > 1 && stride > 0)
    .sort((a, b) => a.stride - b.stride);
  let span = Q8_SCALE_BYTES + shape[3];
  return axes.every(({ stride, size }) => {
    const free = stride >= span;
    span += stride * (size - 1);
    return free;
  });
}

/** @throws AttentionError "unsupported" unless rows are whole words with room for a scale before each, as in `q8Layout` */
export function checkQ8Rows(name: string, layout: TensorLayout, capabilities: Capabilities): void {
  const strides = stridesOf(layout);
  const { shape, offset = 0 } = layout;
  const dim = shape[3];
  const { base } = bindingRange(layout, capabilities);
  const words = [dim, ...strides.slice(0, 3), base].every((size) => size % 4 === 0) && strides[3] === 1;
  if (words && rowsApart(shape, strides) && base >= Q8_SCALE_BYTES) return;
  fail(
    "unsupported",
    `${name} (q8)`,
    "rows of whole words, a scale in the word before each",
    `shape [${shape}] with strides [${strides}] and offset ${offset}`,
    "Take q8Layout(shape); dim is a multiple of four.",
  );
}
