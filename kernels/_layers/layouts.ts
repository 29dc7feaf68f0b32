import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { AttentionError } from "../../src/dispatch/errors.js";
import { elementCount, type Shape4, stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout } from "../../src/dispatch/validate.js";

/** Sizes of activations [batch, tokens, 1, dim], the layout that all layers share. */
export interface Rows {
  readonly batches: number;
  readonly tokens: number;
  readonly dim: number;
}

/**
 * Checks activations: f32, with the heads merged into `dim`.
 *
 * @throws AttentionError "shape", "dtype" or "limit"
 */
export function checkRows(name: string, layout: TensorLayout): Rows {
  checkLayout(name, layout, ["f32"]);
  const [batches, tokens, heads, dim] = layout.shape;
  if (heads !== 1) {
    throw new AttentionError("shape", {
      subject: `${name}.shape[2] (heads)`,
      expected: "1",
      got: String(heads),
      fix: "Layers work on whole rows: view heads that lie side by side as one axis, [batch, tokens, 1, heads * dim].",
    });
  }
  return { batches, tokens, dim };
}

/** @throws AttentionError "shape", "dtype" or "limit" when the layout is not f32 of exactly this shape */
export function checkShape(name: string, layout: TensorLayout, shape: Shape4): void {
  checkLayout(name, layout, ["f32"]);
  if (layout.shape.every((size, axis) => size === shape[axis])) return;
  throw new AttentionError("shape", {
    subject: `${name}.shape`,
    expected: `[${shape.join(", ")}]`,
    got: `[${layout.shape.join(", ")}]`,
    fix: "Shapes are [batch, tokens, heads, dim]; a vector is [1, 1, 1, n] and a matrix [1, 1, rows, columns].",
  });
}

/** @throws AttentionError "limit" when a tensor is more than one binding holds */
export function checkBindable(
  layouts: Readonly<Record<string, TensorLayout | undefined>>,
  capabilities: Capabilities,
): void {
  const limit = capabilities.limits.maxStorageBufferBindingSize;
  for (const [name, layout] of Object.entries(layouts)) {
    if (!layout) continue;
    const { size } = bindingRange(layout, capabilities);
    if (size <= limit) continue;
    throw new AttentionError("limit", {
      subject: name,
      expected: `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      got: `${size} bytes`,
      fix: "Request the device with AttentionContext.requirements(adapter), or split the batch over several calls.",
    });
  }
}

/** @throws AttentionError "shape" unless it is a finite number of at least `least` */
export function checkNumber(name: string, value: number, least: number): void {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return;
  throw new AttentionError("shape", {
    subject: name,
    expected: least === -Infinity ? "a finite number" : `a finite number of at least ${least}`,
    got: String(value),
    fix: "Leave it out for the default.",
  });
}

/** Whether every row starts at a multiple of four elements, has a multiple of four channels, and these are neighbours. */
export function isVec4(layout: TensorLayout, capabilities: Capabilities): boolean {
  const [sb, st, sh, sd] = stridesOf(layout);
  const aligned = [layout.shape[3], sb, st, sh, bindingRange(layout, capabilities).base];
  return sd === 1 && aligned.every((value) => value % 4 === 0);
}

export function bytesOf(...layouts: (TensorLayout | undefined)[]): number {
  return layouts.reduce((sum, layout) => sum + (layout ? 4 * elementCount(layout.shape) : 0), 0);
}
