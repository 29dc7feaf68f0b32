import type { WeightsPicture } from "../../_playground/mechanism.js";
import { pauses } from "../../_playground/pauses.js";
import type { SoftmaxCaseInputs } from "../case-inputs.js";
import { softmaxAttentionReference } from "../reference.js";
import { rowInputs, spreadRows } from "../sampled-rows.js";

const MAX_ROWS = 64;
const MAX_COLUMNS = 64;
/** Multiplications that a picture may take. */
const BUDGET = 3e7;

/**
 * Weights of the first head of the first batch entry. Values that are one in the column of their own key range, and zero
 * elsewhere, make the output the sum of the weights of each range: no second formula that could differ from the reference.
 */
export async function weightsPicture(
  inputs: SoftmaxCaseInputs,
  signal: AbortSignal,
): Promise<WeightsPicture> {
  const [, queries, , headDim] = inputs.q.shape;
  const [, keys] = inputs.k.shape;
  const keysPerColumn = Math.ceil(keys / MAX_COLUMNS);
  const columns = Math.ceil(keys / keysPerColumn);
  const v = new Float32Array(keys * columns);
  for (let key = 0; key < keys; key++) v[key * columns + Math.floor(key / keysPerColumn)] = 1;

  const affordable = Math.floor(BUDGET / (keys * (headDim + columns)));
  const rows = spreadRows(1, queries, Math.max(2, Math.min(MAX_ROWS, affordable)));
  const values = new Float64Array(rows.length * columns);
  const pause = pauses(signal);
  for (const [index, position] of rows.entries()) {
    const row = rowInputs(inputs, position, 0);
    const { out } = softmaxAttentionReference({ ...row, v: { data: v, shape: [1, keys, 1, columns] } });
    values.set(out, index * columns);
    await pause();
  }
  return {
    title: "Attention weights, head 0",
    rows: rows.map(({ query }) => `query ${query}`),
    columns: Array.from({ length: columns }, (_, column) => {
      const first = column * keysPerColumn;
      const last = Math.min(keys, first + keysPerColumn) - 1;
      return first === last ? `key ${first}` : `keys ${first} to ${last}`;
    }),
    values,
  };
}
