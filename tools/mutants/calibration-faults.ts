import type { Fault } from "./faults.js";

const MIX = "kernels/_calibration/mix/";
const SHIFT = "kernels/_calibration/shift/";
const STATISTICS = "kernels/_calibration/statistics/";
const GAZE = "kernels/_calibration/gaze/";

export const CALIBRATION_FAULTS: readonly Fault[] = [
  {
    name: "of equal scores the last is the largest",
    file: `${MIX}row_facts.wgsl`,
    find: "if (score > best_score) {",
    replace: "if (score >= best_score) {",
  },
  {
    name: "a further range of keys forgets how many were visible before",
    file: `${MIX}row_facts.wgsl`,
    find: "count = before.y;",
    replace: "count = 0u;",
  },
  {
    name: "equal weights count a key too many",
    file: `${MIX}mix_terms.wgsl`,
    find: "pattern.seen += step.u / f32(count);",
    replace: "pattern.seen += step.u / f32(count + 1u);",
  },
  {
    name: "Fisher-Rao takes the weight for its root",
    file: `${MIX}mix_terms.wgsl`,
    find: "let root = to.x + to.y * sqrt(weight);",
    replace: "let root = to.x + to.y * weight;",
  },
  {
    name: "the mean query leaves out the last chunk",
    file: `${MIX}running_sums.wgsl`,
    find: "chunk < select(part, chunks, WHOLE); chunk++",
    replace: "chunk < select(part, chunks - 1u, WHOLE); chunk++",
  },
  {
    name: "values are those of other key heads",
    file: `${MIX}mix_rows.wgsl`,
    find: "let kv_head = head / params.heads_per_kv;",
    replace: "let kv_head = head % (params.heads / params.heads_per_kv);",
  },
  {
    name: "the log-linear path smooths the wrong way",
    file: `${MIX}path.wgsl`,
    find: "u * (log(own) - LN_SMOOTHING)",
    replace: "u * (log(own) + LN_SMOOTHING)",
  },
  {
    name: "protected keys are sinks",
    file: `${SHIFT}sinks.wgsl`,
    find: "  bits &= ~set_word(operation_word(operation, 15u), word);\n",
    replace: "",
  },
  {
    name: "given sinks reach past the keys that there are",
    file: `${SHIFT}sinks.wgsl`,
    find: "return bits & (0xffffffffu >> (32u - keys));",
    replace: "return bits;",
  },
  {
    name: "keys that a score hides are weighed",
    file: `${SHIFT}pattern.wgsl`,
    find: "seen & (score > ANY_KEY)",
    replace: "seen",
  },
  {
    name: "rows that look away pass the gate",
    file: `${SHIFT}masses.wgsl`,
    find: "passed = masses.mass >= operation.least_mass;",
    replace: "passed = masses.mass <= operation.least_mass;",
  },
  {
    name: "rows are chosen by their index instead of their position",
    file: `${SHIFT}rows_chosen.wgsl`,
    find: "operation.first_position - query_position(operation.batch, 0u)",
    replace: "operation.first_position",
  },
  {
    name: "merged parts forget the sink logit",
    file: `${SHIFT}merge_rows.wgsl`,
    find: "shares.z + share(sink, largest);",
    replace: "shares.z;",
  },
  {
    name: "heads without sinks are merged of parts",
    file: `${SHIFT}split_rows.wgsl`,
    find: "params.tokens_k)] > 0u) {",
    replace: "params.tokens_k)] >= 0u) {",
  },
  {
    name: "hidden states are probed by their sign",
    file: `${SHIFT}hidden_scores.wgsl`,
    find: "max(largest, abs(hidden_channel(row, terms[shift.probes_at + n])))",
    replace: "max(largest, hidden_channel(row, terms[shift.probes_at + n]))",
  },
  {
    name: "a query too many sees each key",
    file: `${STATISTICS}key_statistics.wgsl`,
    find: "first = max(first, i32(key) - params.window_right);",
    replace: "first = max(first, i32(key) - params.window_right - 1);",
  },
  {
    name: "future influence looks at all queries",
    file: `${STATISTICS}key_statistics.wgsl`,
    find: "max(query_position(batch, 0u), i32(key) + sweep.low)",
    replace: "max(query_position(batch, 0u), i32(key))",
  },
  {
    name: "cells of a map are averaged over a row too many",
    file: `${STATISTICS}map_cells.wgsl`,
    find: "let rows = cell_begin(cell + 1u) - cell_begin(cell);",
    replace: "let rows = cell_begin(cell + 1u) - cell_begin(cell) + 1u;",
  },
  {
    name: "of equal weights later ranges of keys come first",
    file: `${STATISTICS}top_keys.wgsl`,
    find: "if (value > best) {",
    replace: "if (value >= best) {",
  },
  {
    name: "diagonals lie on the other side",
    file: `${STATISTICS}diagonals.wgsl`,
    find: "let key = position - bitcast<i32>",
    replace: "let key = position + bitcast<i32>",
  },
  {
    name: "pairs of hidden keys are compared",
    file: `${STATISTICS}head_diversity.wgsl`,
    find: "pairs += select(0.0, 1.0, seen[n]);",
    replace: "pairs += 1.0;",
  },
  {
    name: "only the first range of keys adds to rows",
    file: `${STATISTICS}row_statistics.wgsl`,
    find: "split < sweep.splits; split++",
    replace: "split < 1u; split++",
  },
  {
    name: "the half of the heads is one head more",
    file: `${GAZE}top_half.wgsl`,
    find: "return before < max(params.heads / 2u, 1u);",
    replace: "return before <= max(params.heads / 2u, 1u);",
  },
  {
    name: "the question's bias is no logarithm",
    file: `${GAZE}row_bias.wgsl`,
    find: "log(image.y / image.x)",
    replace: "image.y / image.x",
  },
];
