import type { ScoreMod } from "../../softmax/index.js";

/**
 * What is added to a row's scores, as a mod: for an application whose own mod comes before, and must not see it.
 *
 * @param rowBias [batches, heads, 1, tokensK] f32
 */
export function rowBiasMod(
  rowBias: GPUBuffer,
  { heads, tokensK }: { readonly heads: number; readonly tokensK: number },
): ScoreMod {
  return {
    wgsl: "return score + gaze_row_bias[(b * gaze_heads + h) * gaze_keys + min(j, gaze_keys - 1u)];",
    constants: { gaze_heads: heads, gaze_keys: tokensK },
    bindings: { gaze_row_bias: { type: "array<f32>", data: rowBias } },
  };
}
