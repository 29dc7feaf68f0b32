/**
 * Looking into attention and changing it: operations on heads, carried out on the GPU around softmax attention without a pattern in memory;
 * hooks for a model's runtime; and, as plain functions on arrays, which heads to change and by how much, and what to make of statistics.
 */
export {
  type ActivationCapture,
  type ActivationPatch,
  type CaptureOptions,
  captureActivations,
  type PatchOperation,
  patchActivations,
} from "./activations/activation-hooks.js";
export type { TensorPart } from "./activations/tensor-copy.js";
export {
  type AdvantageWeightOptions,
  advantageWeights,
  scaleAdvantages,
} from "./attention-statistics/advantages.js";
export {
  frobeniusNorm,
  futureInfluenceCounts,
  headValues,
  localFocus,
  meanDistance,
  receiverKurtosis,
  type SinkRate,
  type SinkRateOptions,
  sinkRate,
} from "./attention-statistics/head-statistics.js";
export {
  RHYTHM_HORIZONS,
  type RhythmOptions,
  type RhythmStatistics,
  type RhythmTokens,
  rhythmHeads,
  rhythmLayers,
  rhythmTokens,
  waadDeltas,
} from "./attention-statistics/rhythm.js";
export {
  type GuidanceInputs,
  type GuidanceOptions,
  perturbationGuidance,
} from "./guidance/perturbation-guidance.js";
export {
  type PerturbHeadsOptions,
  perturbHeads,
  type SoftPagOptions,
  softPag,
  UNIFORM_HEAD,
  ZERO_HEAD,
} from "./head-perturbation/perturbation.js";
export {
  type AttentionInfluenceOptions,
  type AttentionInfluenceProgress,
  type AttentionInfluenceState,
  attentionInfluence,
  influentialTexts,
  relativeLoss,
} from "./head-search/attention-influence.js";
export {
  type ChooseHeadsOptions,
  type ChooseHeadsProgress,
  type ChooseHeadsResult,
  type ChooseHeadsState,
  chooseHeads,
} from "./head-search/choose-heads.js";
export { allHeads, type Head } from "./head-search/head.js";
export {
  type HeadSearchOptions,
  type HeadSearchProgress,
  type HeadSearchResult,
  type HeadSearchRound,
  type HeadSearchState,
  headSearch,
} from "./head-search/head-search.js";
export {
  type CopiedTokens,
  copiedTokenScore,
  type RetrievalHeadsOptions,
  type RetrievalHeadsProgress,
  type RetrievalHeadsResult,
  type RetrievalHeadsState,
  retrievalHeads,
} from "./head-search/retrieval-heads.js";
export {
  type ActivationName,
  type AttentionHook,
  type AttentionSite,
  type HeadTerms,
  type HookedPlan,
  type HookedProblem,
  type HookedTensors,
  operationsAt,
  planHookedAttention,
  recordActivation,
} from "./intervention/attention-hook.js";
export { attentionPattern, type PatternOptions } from "./intervention/attention-pattern.js";
export type { HeadOperations } from "./intervention/head-operations.js";
export {
  type IntervenedCallOptions,
  type IntervenedPlan,
  type IntervenedProblem,
  type IntervenedSegment,
  type IntervenedTensors,
  intervenedAttention,
  planIntervenedAttention,
} from "./intervention/intervened-attention.js";
export type * from "./operations.js";
export type { SourcedOptions, SourcedProblem, SourcedWeights } from "./query-key-source/problem.js";
export { type RandomEmbeddingOptions, randomEmbeddings } from "./query-key-source/random-embeddings.js";
export {
  planSourcedAttention,
  type SourcedCallOptions,
  type SourcedPlan,
  type SourcedSegment,
  type SourcedTensors,
  sourcedAttention,
} from "./query-key-source/sourced-attention.js";
export { type CachePolicy, cachePositions, keepSlots, keptSlots } from "./sink-calibration/cache-policy.js";
export {
  GAZE_SHIFT_SETTINGS,
  type GazeEnhancement,
  type GazeEnhancementInputs,
  type GazeSaliency,
  gazeEnhancement,
  gazeSaliency,
} from "./sink-calibration/gaze-shift.js";
export {
  type HiddenSinkOptions,
  hiddenSinkScores,
  hiddenSinks,
  SINK_DIMENSIONS,
} from "./sink-calibration/hidden-sinks.js";
export {
  addReceived,
  type ReceivedSinkOptions,
  type ReceivedSums,
  receivedMeans,
  receivedSinks,
  runningSinks,
} from "./sink-calibration/received-sinks.js";
export {
  type AttentionCalibrationOptions,
  attentionCalibration,
  type VisualSinkOptions,
  visualRedistribution,
} from "./sink-calibration/shift-operations.js";
