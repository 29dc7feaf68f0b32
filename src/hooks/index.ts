/**
 * Around attention rather than in it: which heads to change and by how much, and what to make of statistics. Plain functions on
 * arrays; nothing here needs a GPU.
 */
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
