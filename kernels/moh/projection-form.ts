import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { isVec4, transposed } from "../../src/dispatch/layout.js";
import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { allActive } from "./head-choice.js";
import type { ProjectionShape } from "./projection-problem.js";

/**
 * How the projection skips heads. `rows`: token by token, where they are few. `dense`: nothing to skip. `ordered`: tokens with the
 * same heads side by side. `listed`: head by head, where tokens with the same heads are too few.
 */
export type ProjectionForm = "rows" | "dense" | "ordered" | "listed";

/** Up to here, in all or of a batch entry, a workgroup takes a token with all of its heads: tiles of rows would stand nearly empty. */
const FEW_TOKENS = 16;
const FEW_OF_ENTRY = 4;
/** As of the linear layer: four groups of rows where they may leave early, else one, whose quads share rows. */
const TILE = { columnThreads: 16, rowThreads: 4, rows: 8 };
const QUAD_TILE = { columnThreads: 32, rowThreads: 1, rows: 16 };
/** Tokens that are sorted together at most: what `order.wgsl` has room for. */
export const MAX_CHUNK = 1024;
/**
 * Channels of a head whose products take as long as reading and writing back the sums that the next head adds to; measured on
 * SwiftShader.
 */
const LISTED_OVERHEAD = 45;

export function projectionForm(shape: ProjectionShape, capabilities: Capabilities): ProjectionForm {
  const { batches, tokens, heads, valueDim, sharedHeads, topK } = shape;
  if (tokens <= FEW_OF_ENTRY || batches * tokens <= FEW_TOKENS) return "rows";
  if (allActive(heads, shape)) return "dense";
  const routed = heads - sharedHeads;
  const sorted = Math.min(tokens, MAX_CHUNK);
  const patterns = binomial(routed, topK);
  // A tile of neighbours in order has a head more for each further pattern, while there are tokens of most patterns. Of more heads
  // than `order.wgsl` has bits for, so few patterns are those of one or two heads, which it tells apart, or of nearly all.
  const mixed =
    patterns > sorted ? routed : topK + ((tileOf(shape, capabilities).rows - 1) * patterns) / sorted;
  const listed = topK * (1 + LISTED_OVERHEAD / valueDim);
  return Math.min(mixed, routed) <= listed ? "ordered" : "listed";
}

/** Threads of a workgroup and rows of a thread in `project.wgsl`, and whether quads share rows. */
export function tileOf(shape: ProjectionShape, capabilities: Capabilities) {
  // Without vec4 a thread's loads are so many instructions that the larger tile takes seconds to compile.
  const quads = capabilities.subgroups && capabilities.software && isWhole(shape, capabilities);
  return { ...(quads ? QUAD_TILE : TILE), quads };
}

/** Whether a matrix is stored [out, in] row-major. */
export function isInnerFirst(weight: TensorLayout): boolean {
  const [, , strideInner, strideOuter] = stridesOf(weight);
  return strideInner === 1 && strideOuter !== 1;
}

/** Whether all rows are whole vec4. */
export function isWhole(
  { attended, out, weight, bias, outer }: ProjectionShape,
  capabilities: Capabilities,
): boolean {
  const matrix = isInnerFirst(weight) ? transposed(weight) : weight;
  const rows = [attended, out, matrix, ...(bias ? [bias] : [])];
  return outer % 4 === 0 && rows.every((layout) => isVec4(layout, capabilities));
}

/** Ways to choose `k` of `n`. */
function binomial(n: number, k: number): number {
  let ways = 1;
  for (let i = 1; i <= k; i++) ways *= (n - k + i) / i;
  return ways;
}
