import { elementCount, type Shape4, type TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { shapesOf } from "../cases.js";
import type { PlaygroundCase } from "./read-values.js";

export interface InputLayouts {
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
}

/** Elements of one token in the fused buffer: the heads of q, then those of k, then those of v. */
export function fusedWidth({ heads, kvHeads, headDim, valueDim }: PlaygroundCase): number {
  return heads * headDim + kvHeads * headDim + kvHeads * valueDim;
}

/** Where q, k and v lie: dense, or as three windows of a fused buffer [batch, tokens, fusedWidth]. */
export function inputLayouts(problem: PlaygroundCase): InputLayouts {
  const { q, k, v } = shapesOf(problem);
  const { dtype, kvDtype, heads, kvHeads, headDim, valueDim, tokensQ } = problem;
  if (!problem.fused)
    return { q: { dtype, shape: q }, k: { dtype: kvDtype, shape: k }, v: { dtype: kvDtype, shape: v } };
  const width = fusedWidth(problem);
  const strides = (dim: number): Shape4 => [tokensQ * width, width, dim, 1];
  const afterQ = heads * headDim;
  return {
    q: { dtype, shape: q, strides: strides(headDim), offset: 0 },
    k: { dtype, shape: k, strides: strides(headDim), offset: afterQ },
    v: { dtype, shape: v, strides: strides(valueDim), offset: afterQ + kvHeads * headDim },
  };
}

/** [1 or B, 1 or Hq, 1 or Tq, 1 or Tk] of the bias, by the axes that it has. */
export function biasShape({ batches, heads, tokensQ, tokensK, options }: PlaygroundCase): Shape4 | undefined {
  const axes = options.bias;
  if (!axes) return undefined;
  const full = [batches, heads, tokensQ, tokensK];
  return full.map((size, axis) => (axes[axis] ? size : 1)) as unknown as Shape4;
}

/** Numbers that the problem's inputs and outputs hold together. */
export function totalElements(problem: PlaygroundCase): number {
  const bias = biasShape(problem);
  return [...Object.values(shapesOf(problem)), ...(bias ? [bias] : [])].reduce(
    (sum, shape) => sum + elementCount(shape),
    0,
  );
}
