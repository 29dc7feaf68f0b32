/**
 * The layers around attention: products with stored weights, projections into a cache, embedding, norms, gates, positions, patches,
 * pooling, sampling. Forward only; activations are f32 views [batch, tokens, 1, dim] with strides.
 */
export type { Activation } from "./activations.js";
export {
  type EmbeddingProblem,
  type EmbeddingTensors,
  planEmbedding,
  sinusoidalPositions,
} from "./embedding.js";
export { type GateProblem, type GateTensors, planGate } from "./gate.js";
export { type L2NormalizeProblem, type L2NormalizeTensors, planL2Normalize } from "./l2-normalize.js";
export { type LayerNormProblem, type LayerNormTensors, planLayerNorm } from "./layer-norm.js";
export type { LayerPlan } from "./layer-plan.js";
export { type LinearProblem, type LinearTensors, planLinear } from "./linear.js";
export { type LrpeProblem, type LrpeTensors, planLrpe } from "./lrpe.js";
export { type MatmulProblem, type MatmulTensors, planMatmul } from "./matmul.js";
export { type MeanPoolProblem, type MeanPoolTensors, planMeanPool } from "./mean-pool.js";
export {
  type ImageProblem,
  type PatchesProblem,
  type PatchesTensors,
  planImage,
  planPatches,
} from "./patches.js";
export type { ModulationLayout, NormOptions } from "./prologue.js";
export { planQkv, type QkvProblem, type QkvTensors } from "./qkv.js";
export { planRmsNorm, type RmsNormProblem, type RmsNormTensors } from "./rms-norm.js";
export { planRope, type RopeProblem, type RopeTensors } from "./rope.js";
export {
  planSampling,
  type SamplingOptions,
  type SamplingProblem,
  type SamplingTensors,
} from "./sampling.js";
export type { StackedWeights } from "./stacked-weights.js";
export {
  paddedColumns,
  splitRows,
  type WeightDType,
  type WeightLayout,
  type WeightMatrix,
  type WeightPart,
  type WeightRange,
  weightBytes,
  weightRange,
} from "./weight-matrix.js";
