// Statistics of whole maps in float64, in the layouts of the outputs.

import type { StatisticName, StatisticsRequest } from "../../kernels/_calibration/statistics/options.js";
import { type SoftmaxReferenceInputs, softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import { type AttentionMap, mapOfWeights, sees } from "../../src/hooks/reference/attention-map.js";
import { downsampled, headDiversity } from "../../src/hooks/reference/map-statistics.js";
import {
  futureInfluence,
  receivedCount,
  receivedMax,
  receivedMean,
  receivedSum,
} from "../../src/hooks/reference/received-statistics.js";
import {
  argmaxKey,
  rowDistance,
  rowEntropy,
  rowMass,
  rowSquares,
  topKeys,
  windowedDistance,
} from "../../src/hooks/reference/row-statistics.js";
import type { RandomTerms } from "./statistics-run.js";

export interface ReferenceInputs {
  readonly problem: SoftmaxReferenceInputs;
  readonly statistics: StatisticsRequest;
  readonly groups: readonly (readonly number[])[];
  /** Groups of heads that are compared; default all heads. */
  readonly compared?: readonly (readonly number[])[];
  readonly terms?: RandomTerms;
}

export interface ExpectedStatistic {
  /** In the logical order of the output. */
  readonly values: Float64Array;
  /** Keys that were found, as the weights that they have, for keys of nearly equal weights. */
  readonly asWeights?: (actual: ArrayLike<number>) => Float64Array;
}

/** Maps of all heads, [B] of [H]: the weights are what attention makes of values that tell keys apart. */
export function referenceMaps({
  problem,
  terms,
}: Pick<ReferenceInputs, "problem" | "terms">): AttentionMap[][] {
  const { q, k, keyLengths, queryOffset } = problem;
  const [batches, tokensQ, heads] = q.shape;
  const [, tokensK, kvHeads] = k.shape;
  const one = new Float32Array(batches * tokensK * kvHeads * tokensK);
  for (let row = 0; row < batches * tokensK * kvHeads; row++)
    one[row * tokensK + (Math.floor(row / kvHeads) % tokensK)] = 1;
  const v = { data: one, shape: [batches, tokensK, kvHeads, tokensK] as const };
  const { out } = softmaxAttentionReference({ ...problem, v });
  return Array.from({ length: batches }, (_, b) =>
    Array.from({ length: heads }, (_, h) => {
      const weights = new Float64Array(tokensQ * tokensK);
      for (let i = 0; i < tokensQ; i++)
        weights.set(
          out.subarray(
            ((b * tokensQ + i) * heads + h) * tokensK,
            ((b * tokensQ + i) * heads + h + 1) * tokensK,
          ),
          i * tokensK,
        );
      const offset =
        queryOffset === "end" ? (keyLengths?.[b] ?? tokensK) - tokensQ : (queryOffset ?? tokensK - tokensQ);
      const map = mapOfWeights(weights, tokensQ, offset);
      return terms ? withTerms(map, terms, (b * heads + h) * tokensQ) : map;
    }),
  );
}

function withTerms(map: AttentionMap, { a, b, c, keys }: RandomTerms, first: number): AttentionMap {
  const weights = map.weights.map((weight, index) => {
    const [i, j] = [Math.floor(index / map.keys), index % map.keys];
    const row = first + i;
    return sees(map, i, j) ? a[row]! * weight + c[row]! + (j === keys[row] ? b[row]! : 0) : 0;
  });
  return mapOfWeights(weights, map.queries, map.offset);
}

/** Every statistic that is asked for. */
export function referenceStatistics(
  inputs: ReferenceInputs,
): Partial<Record<StatisticName, ExpectedStatistic>> {
  const { statistics, groups } = inputs;
  const maps = referenceMaps(inputs);
  const heads = maps[0]!.length;
  const each = Array.from({ length: heads }, (_, head) => [head]);
  /** [B, tokens, groups, values] of what each map gives, [tokens, values]. */
  const averaged = (of: (map: AttentionMap) => ArrayLike<number>, values = 1, over = groups) => ({
    values: Float64Array.from(
      maps.flatMap((own) => {
        const found = own.map(of);
        const tokens = found[0]!.length / values;
        return Array.from({ length: tokens * over.length * values }, (_, index) => {
          const [t, g, n] = [
            Math.floor(index / (over.length * values)),
            Math.floor(index / values) % over.length,
            index % values,
          ];
          const group = over[g]!;
          return group.reduce((sum, head) => sum + found[head]![t * values + n]!, 0) / group.length;
        });
      }),
    ),
  });
  const keysOf = (of: (map: AttentionMap) => ArrayLike<number>, count: number): ExpectedStatistic => {
    const weightAt = (map: AttentionMap, i: number, key: number) =>
      key < 0 ? 0 : map.weights[i * map.keys + key]!;
    const weights = (map: AttentionMap) =>
      Array.from(of(map), (key, index) => weightAt(map, Math.floor(index / count), key));
    return {
      ...averaged(weights, count, each),
      asWeights: (actual) =>
        Float64Array.from(actual, (key, index) => {
          const row = Math.floor(index / count);
          const [h, i] = [row % heads, Math.floor(row / heads)];
          const { queries } = maps[0]![0]!;
          return weightAt(maps[Math.floor(i / queries)]![h]!, i % queries, key);
        }),
    };
  };
  const zeroed = (values: ArrayLike<number>) => Array.from(values, (x) => (Number.isFinite(x) ? x : 0));
  const {
    futureInfluence: future,
    mass,
    windowedDistance: window,
    topKeys: top,
    diagonals,
    map,
  } = statistics;
  return {
    ...(statistics.receivedSum && { receivedSum: averaged(receivedSum) }),
    ...(statistics.receivedMean && { receivedMean: averaged((own) => zeroed(receivedMean(own))) }),
    ...(statistics.receivedMax && { receivedMax: averaged((own) => zeroed(receivedMax(own))) }),
    ...(statistics.receivedCount && { receivedCount: averaged(receivedCount) }),
    ...(future && {
      futureInfluence: averaged((own) => futureInfluence(own, future.low, future.high, future).values),
    }),
    ...(mass && {
      mass: averaged((own) => {
        const sets = mass.map((set) => rowMass(own, set));
        return Array.from(
          { length: own.queries * mass.length },
          (_, index) => sets[index % mass.length]!.at(Math.floor(index / mass.length))!,
        );
      }, mass.length),
    }),
    ...(statistics.entropy && { entropy: averaged(rowEntropy) }),
    ...(statistics.squares && { squares: averaged(rowSquares) }),
    ...(statistics.distance && { distance: averaged(rowDistance) }),
    ...(window !== undefined && { windowedDistance: averaged((own) => windowedDistance(own, window)) }),
    ...(statistics.argmax && {
      argmaxKey: keysOf(argmaxKey, 1),
      argmaxWeight: averaged((own) => topKeys(own, 1).weights),
    }),
    ...(top !== undefined && {
      topKeys: keysOf((own) => topKeys(own, top).keys, top),
      topWeights: averaged((own) => topKeys(own, top).weights, top),
    }),
    ...(diagonals && {
      diagonals: averaged(
        (own) =>
          Array.from({ length: own.queries * diagonals.length }, (_, index) => {
            const i = Math.floor(index / diagonals.length);
            const key = i + own.offset - diagonals[index % diagonals.length]!;
            return key >= 0 && key < own.keys ? own.weights[i * own.keys + key]! : 0;
          }),
        diagonals.length,
      ),
    }),
    ...(map && { map: averaged((own) => downsampled(own, map.rows, map.columns), map.columns) }),
    ...(statistics.headDiversity && {
      headDiversity: {
        values: Float64Array.from(
          maps.flatMap((own) =>
            (inputs.compared ?? [own.map((_, head) => head)]).map((group) =>
              headDiversity(group.map((head) => own[head]!)),
            ),
          ),
        ),
      },
    }),
  };
}
