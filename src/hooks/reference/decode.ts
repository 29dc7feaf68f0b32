import type { ShiftOperation } from "../operations.js";
import {
  addReceived,
  type ReceivedSums,
  receivedMeans,
  runningSinks,
} from "../sink-calibration/received-sinks.js";
import { type AttentionMap, attend, mapOfWeights } from "./attention-map.js";
import { receivedCount, receivedSum } from "./received-statistics.js";
import { shifted } from "./shift.js";
import { sinksOf } from "./sinks.js";

export interface CalibratedStep {
  /** [1, keys so far] after the shift. */
  readonly map: AttentionMap;
  readonly out: Float64Array;
  readonly sinks: readonly number[];
  /** [keys so far] running means, this step's weights in them. */
  readonly received: Float64Array;
}

/**
 * ACT while decoding: a causal map of the whole sequence, of which the first rows are the prefill, and each further row a step of one
 * query. Sinks are those of the prefill, or (`update: "running"`) found at each step from running means of the weights before
 * the shift.
 *
 * @param map before any shift, [N, N]
 * @param values [N] rows
 */
export function calibratedDecode(
  map: AttentionMap,
  values: readonly Float64Array[],
  prefill: number,
  operation: ShiftOperation & { readonly sinks: Extract<ShiftOperation["sinks"], { received: unknown }> },
): CalibratedStep[] {
  const before = mapOfWeights(square(map, prefill), prefill);
  const frozen = sinksOf(before, operation);
  let carried: ReceivedSums = {
    sums: Array.from(receivedSum(before)),
    counts: Array.from(receivedCount(before)),
  };
  return Array.from({ length: map.queries - prefill }, (_, step) => {
    const position = prefill + step;
    const row = map.weights.slice(position * map.keys, position * map.keys + position + 1);
    carried = addReceived(carried, row);
    const { sinks: rule, protect } = operation;
    const threshold = rule.received === "abs" ? { theta: rule.theta } : { alpha: rule.alpha };
    const sinks = rule.update === "running" ? runningSinks(carried, { ...threshold, protect }) : frozen;
    const stepMap = shifted(mapOfWeights(row, 1), operation, sinks);
    const [out] = attend(stepMap, values.slice(0, position + 1));
    return { map: stepMap, out: out!, sinks, received: receivedMeans(carried) };
  });
}

/** The first rows and keys of a map. */
function square(map: AttentionMap, size: number): Float64Array {
  return Float64Array.from(
    { length: size * size },
    (_, index) => map.weights[Math.floor(index / size) * map.keys + (index % size)]!,
  );
}
