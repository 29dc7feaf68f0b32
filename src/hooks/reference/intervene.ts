import { fail } from "../check.js";
import { hasRow } from "../key-set.js";
import type { BiasOperation, HeadOperation } from "../operations.js";
import {
  type AttentionInputs,
  type AttentionMap,
  attend,
  attentionMap,
  kvHeadOf,
  mapOfQueries,
  mapRows,
  softmaxMap,
} from "./attention-map.js";
import { type DenseTensor, headRows, setHeadRows } from "./dense-tensor.js";
import { meanQueries, mixed } from "./mix.js";
import { shifted } from "./shift.js";
import { type HiddenStates, sinksOf } from "./sinks.js";

/** By query head; heads that are not listed are left alone. */
export type HeadOperations = ReadonlyMap<number, HeadOperation | readonly HeadOperation[]>;

export interface InterventionInputs extends AttentionInputs {
  /** [B, Tk, Hkv, Dv] */
  readonly v: DenseTensor;
  /** The same for all batch entries, or one for each. */
  readonly heads?: HeadOperations | readonly HeadOperations[];
  /** [B] the layer's inputs, where sinks are found in them. */
  readonly hidden?: readonly HiddenStates[];
}

export interface InterventionResult {
  /** [B, Tq, Hq, Dv] */
  readonly out: Float64Array;
  /** [B, Tq, Hq] of the scores as scale and bias left them. */
  readonly lse: Float64Array;
  /** maps[b][h] after everything. */
  readonly maps: readonly (readonly AttentionMap[])[];
}

/**
 * Softmax attention of a layer with operations on its heads, in float64, with all the matrices written out. The specification of
 * what the interventions of this folder compute; loaded only to check, never to compute.
 *
 * @throws AttentionError "unsupported" for scale or bias after an operation on weights.
 */
export function interventionReference(inputs: InterventionInputs): InterventionResult {
  const { q, v, heads = new Map(), hidden } = inputs;
  const [batches, queries, headCount] = q.shape;
  const shape = [batches, queries, headCount, v.shape[3]] as const;
  const out = new Float64Array(shape.reduce((a, b) => a * b));
  const lse = new Float64Array(batches * queries * headCount);
  const maps = Array.from({ length: batches }, (_, b) => {
    const operations = Array.isArray(heads)
      ? (heads as readonly HeadOperations[])[b]
      : (heads as HeadOperations);
    return Array.from({ length: headCount }, (_, h) => {
      const map = intervene(inputs, b, h, [operations?.get(h) ?? []].flat(), hidden?.[b]);
      setHeadRows(out, shape, attend(map, headRows(v, b, kvHeadOf(inputs, h))), b, h);
      for (let i = 0; i < queries; i++) lse[(b * queries + i) * headCount + h] = map.lse[i]!;
      return map;
    });
  });
  return { out, lse, maps };
}

/** The map of one head after its operations, in the order in which they are listed. */
export function intervene(
  inputs: AttentionInputs,
  b: number,
  h: number,
  operations: readonly HeadOperation[],
  hidden?: HiddenStates,
): AttentionMap {
  checkOrder(operations);
  const onScores = operations.filter(({ kind }) => kind === "scale" || kind === "bias");
  const withScores = (map: AttentionMap) => onScores.reduce(changeScores, map);
  // The mean query is scored as every other query is.
  const meanQuery = () => {
    const mean = meanQueries(headRows(inputs.q, b, h), inputs.causal ?? false);
    return withScores(mapOfQueries(inputs, mean, b, h));
  };
  const keys = (inputs.keyLengths?.[b] ?? inputs.k.shape[1]) - (inputs.keyStarts?.[b] ?? 0);
  return operations.reduce(
    (map, operation) => {
      switch (operation.kind) {
        case "mix":
          return mixed(map, operation, meanQuery);
        case "shift":
          return shifted(map, operation, sinksOf(map, operation, hidden, keys));
        case "gain":
          return operation.output === 1 ? map : mapRows(map, (row) => row.map((a) => a * operation.output));
        default:
          return map;
      }
    },
    withScores(attentionMap(inputs, b, h)),
  );
}

function changeScores(map: AttentionMap, operation: HeadOperation): AttentionMap {
  if (operation.kind === "scale") {
    if (operation.logits === 1) return map;
    // Zero times −∞ would show what is hidden.
    const scores = map.scores.map((s) => (s === -Infinity ? s : s * operation.logits));
    return softmaxMap(scores, map, map.sinkLogit);
  }
  const { keys, rows } = operation as BiasOperation;
  const scores = map.scores.map((s, index) => {
    const i = Math.floor(index / map.keys);
    return hasRow(rows, i, map.queries, i + map.offset) ? s + keys[index % map.keys]! : s;
  });
  return softmaxMap(scores, map, map.sinkLogit);
}

function checkOrder(operations: readonly HeadOperation[]): void {
  const isOnScores = ({ kind }: HeadOperation) => kind === "scale" || kind === "bias";
  const late = operations.findIndex(
    (operation, index) => index > 0 && isOnScores(operation) && !isOnScores(operations[index - 1]!),
  );
  if (late < 0) return;
  const got = `${operations[late]!.kind} after ${operations[late - 1]!.kind}`;
  fail("unsupported", `operation ${late}`, "scale and bias before all others", got, "List them first.");
}
