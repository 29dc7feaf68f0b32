import { expect, test } from "vitest";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { checkQ8Rows, q8Layout } from "./q8-layout.js";
import type { Shape4, TensorLayout } from "./tensor-view.js";
import { bindingRange } from "./validate.js";

const capabilities = minimumCapabilities();
const check = (layout: TensorLayout) => () => checkQ8Rows("k", layout, capabilities);
const refused = expect.objectContaining({ code: "unsupported" });

test("a view binds the scale before its first row, wherever that lies", () => {
  // The sixteenth head of 64 channels begins at byte 1024, which bindings may begin at; its scale lies before.
  const cache = q8Layout([1, 10, 16, 64]);
  const head: TensorLayout = { ...cache, shape: [1, 10, 1, 64], offset: 4 + 15 * 68 };
  expect(head.offset).toBe(1024);
  expect(check(head)).not.toThrow();
  const { offset, base } = bindingRange(head, capabilities);
  expect(offset + base).toBe(1024);
  expect(base).toBeGreaterThanOrEqual(4);
  expect(check({ ...head, offset: 0 })).toThrowError(refused);
});

test("rows may be repeated, and lie in any order, but have room for their scales", () => {
  const shape: Shape4 = [2, 3, 2, 8];
  const dense = q8Layout(shape);
  expect(check({ ...dense, strides: [0, 24, 12, 1] })).not.toThrow();
  // Heads behind each other, each with all its tokens.
  expect(check({ ...dense, strides: [72, 12, 36, 1] })).not.toThrow();
  // The second entry's first scale would lie in the first entry's last row.
  expect(check({ ...dense, strides: [68, 24, 12, 1] })).toThrowError(refused);
  expect(check({ ...dense, strides: [72, 24, 8, 1] })).toThrowError(refused);
});
