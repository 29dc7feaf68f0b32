import { AttentionError } from "../../src/dispatch/errors.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout } from "../../src/dispatch/validate.js";

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
