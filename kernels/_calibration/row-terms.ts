import type { TensorLayout } from "../../src/dispatch/tensor-view.js";

/**
 * Layout of a tensor of row terms, which mixes write and statistics and shifts read: for each row of a head the bits of f32 a, b and c
 * and a u32 key, of A'_ij = a A_ij + b [j = key] + c [i sees j]. The elements are words rather than numbers; the dtype says their size.
 */
export function rowTermsLayout(batches: number, heads: number, tokensQ: number): TensorLayout {
  return { dtype: "f32", shape: [batches, heads, tokensQ, 4] };
}
