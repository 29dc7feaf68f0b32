/** Passes that act around softmax attention, from q, k, v, its output and its log-sum-exp. No buffer of size Tq x Tk. */

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
