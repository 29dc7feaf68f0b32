import type { TensorLayout } from "../../../src/dispatch/tensor-view.js";
import type { SoftmaxShape } from "../../softmax/problem.js";
import type { StatisticName, StatisticsRequest } from "./options.js";

/** What a request writes, each dense by batch entry, group of heads, token and value: a head's numbers side by side. */
export function outputLayouts(
  { batches, tokensQ, tokensK }: SoftmaxShape,
  request: StatisticsRequest,
  groups: number,
  compared: number,
): Partial<Record<StatisticName, TensorLayout>> {
  const layout = (tokens: number, values = 1, of = groups): TensorLayout => ({
    dtype: "f32",
    shape: [batches, tokens, of, values],
    strides: [of * tokens * values, values, tokens * values, 1],
  });
  const ofKeys = layout(tokensK);
  const ofRows = layout(tokensQ);
  const { mass, topKeys, diagonals, map } = request;
  return {
    ...(request.receivedSum && { receivedSum: ofKeys }),
    ...(request.receivedMean && { receivedMean: ofKeys }),
    ...(request.receivedMax && { receivedMax: ofKeys }),
    ...(request.receivedCount && { receivedCount: ofKeys }),
    ...(request.futureInfluence && { futureInfluence: ofKeys }),
    ...(mass && { mass: layout(tokensQ, mass.length) }),
    ...(request.entropy && { entropy: ofRows }),
    ...(request.squares && { squares: ofRows }),
    ...(request.distance && { distance: ofRows }),
    ...(request.windowedDistance !== undefined && { windowedDistance: ofRows }),
    ...(request.argmax && { argmaxKey: ofRows, argmaxWeight: ofRows }),
    ...(topKeys !== undefined && { topKeys: layout(tokensQ, topKeys), topWeights: layout(tokensQ, topKeys) }),
    ...(diagonals && { diagonals: layout(tokensQ, diagonals.length) }),
    ...(map && { map: layout(map.rows, map.columns) }),
    ...(request.headDiversity && { headDiversity: layout(1, 1, compared) }),
  };
}
