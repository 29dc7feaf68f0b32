import type { ShiftOperation } from "../operations.js";
import { hiddenSinks } from "../sink-calibration/hidden-sinks.js";
import { receivedSinks } from "../sink-calibration/received-sinks.js";
import type { AttentionMap } from "./attention-map.js";
import { receivedMean } from "./received-statistics.js";

/** [tokens, channels] of one batch entry: the input of the layer's block. */
export interface HiddenStates {
  readonly data: ArrayLike<number>;
  readonly channels: number;
}

/**
 * The sinks that a shift acts on in this map, ascending; protected keys are not among them.
 *
 * @param hidden needed by rules that look at hidden states
 * @param keys how many the batch entry has, padding not counted; default those of the map
 */
export function sinksOf(
  map: AttentionMap,
  operation: ShiftOperation,
  hidden?: HiddenStates,
  keys = map.keys,
): number[] {
  const { sinks: rule, protect } = operation;
  if ("received" in rule) {
    const theta = rule.received === "abs" ? rule.theta : rule.alpha / Math.max(keys, 1);
    return receivedSinks(receivedMean(map), { theta, protect: protect ?? [0] });
  }
  const found = "keys" in rule ? rule.keys : hiddenSinks(hidden!.data, hidden!.channels, rule.hidden);
  const spared = new Set(protect ?? []);
  return [...new Set(found)].filter((key) => !spared.has(key)).sort((a, b) => a - b);
}
