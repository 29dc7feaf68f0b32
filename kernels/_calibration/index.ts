/** Passes that act around softmax attention, from q, k, v, its output and its log-sum-exp. No buffer of size Tq x Tk. */

export type { CompiledPlan, PlanSegment } from "../../src/dispatch/compiled-plan.js";
export { byHeadLayout } from "../../src/dispatch/layout.js";
export type { TensorSpec } from "../../src/dispatch/tensor-set.js";
export { chainScoreMods } from "./chain-score-mods.js";
export {
  type GazeEnhancementProblem,
  type GazeEnhancementTensors,
  type GazeSaliencyProblem,
  type GazeSaliencyTensors,
  planGazeEnhancement,
  planGazeSaliency,
} from "./gaze/index.js";
export {
  type AttentionMixOptions,
  type AttentionMixPlan,
  type AttentionMixTensors,
  mixAttention,
  planAttentionMix,
} from "./mix/index.js";
export type { AttentionMixProblem } from "./mix/problem.js";
export type { GainStep, HeadSteps, MixStep, PatternStep } from "./mix/types.js";
export { checkPlainRows } from "./plain-rows.js";
export { PlanSequence, type Views } from "./plan-sequence.js";
export { rowTermsLayout } from "./row-terms.js";
export {
  type AttentionShiftOptions,
  type AttentionShiftPlan,
  type AttentionShiftProblem,
  type AttentionShiftTensors,
  type HeadShifts,
  type KeySet,
  type KeyShift,
  planAttentionShift,
  protectedKeys,
  type ShiftGate,
  type ShiftRows,
  type SinkLists,
  type SinkRule,
  shiftAttention,
  sinkListWords,
} from "./shift/index.js";
export {
  planShiftedAttention,
  type ShiftedAttentionOptions,
  type ShiftedAttentionPlan,
  type ShiftedAttentionProblem,
  type ShiftedAttentionTensors,
  shiftedAttention,
} from "./shift/shifted-attention.js";
export {
  type AttentionStatisticsOptions,
  type AttentionStatisticsPlan,
  type AttentionStatisticsProblem,
  type AttentionStatisticsTensors,
  attentionStatistics,
  type FutureInfluenceOptions,
  planAttentionStatistics,
  type StatisticsOutputs,
  type StatisticsRequest,
} from "./statistics/index.js";
