/** Single query rows of a problem as problems of their own, so that long ones can be compared with the reference in part. */
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import type { DenseData, SoftmaxCaseInputs } from "./case-inputs.js";
import type { SoftmaxReferenceInputs } from "./reference.js";

export interface RowPosition {
  readonly batch: number;
  readonly query: number;
}

/** At most `count` of the rows [batch, query], evenly spread, first and last among them. */
export function spreadRows(batches: number, queries: number, count: number): RowPosition[] {
  const total = batches * queries;
  const taken = Math.min(total, Math.max(1, count));
  return Array.from({ length: taken }, (_, index) => {
    const row = taken === 1 ? total - 1 : Math.round((index * (total - 1)) / (taken - 1));
    return { batch: Math.floor(row / queries), query: row % queries };
  });
}

/** The reference's inputs for one query row of one batch entry: of all heads, or of one. */
export function rowInputs(
  { q, k, v, bias, options }: SoftmaxCaseInputs,
  { batch, query }: RowPosition,
  head?: number,
): SoftmaxReferenceInputs {
  const [, tokensQ, heads] = q.shape;
  const [, tokensK, kvHeads] = k.shape;
  const { keyStarts, keyLengths, keyMask, alibiSlopes, sinkLogits, queryOffset } = options;
  const kvHead = head === undefined ? undefined : Math.floor(head / (heads / kvHeads));
  const end = keyLengths?.[batch] ?? tokensK;
  const offset = queryOffset === "end" ? end - tokensQ : (queryOffset ?? tokensK - tokensQ);
  const ofHead = <T>(values: ArrayLike<T>) => (head === undefined ? Array.from(values) : [values[head]!]);
  return {
    ...options,
    q: part(q, [batch, query, head, undefined]),
    k: part(k, [batch, undefined, kvHead, undefined]),
    v: part(v, [batch, undefined, kvHead, undefined]),
    queryOffset: offset + query,
    ...(bias && { bias: part(bias, [batch, head, query, undefined]) }),
    ...(keyStarts && { keyStarts: [keyStarts[batch]!] }),
    ...(keyLengths && { keyLengths: [end] }),
    ...(keyMask && { keyMask: keyMask.slice(batch * tokensK, (batch + 1) * tokensK) }),
    ...(alibiSlopes && { alibiSlopes: ofHead(alibiSlopes) }),
    ...(sinkLogits && { sinkLogits: ofHead(sinkLogits) }),
  };
}

/** A copy with one position along some axes; broadcast axes keep their only one. */
function part({ data, shape }: DenseData, at: readonly (number | undefined)[]): DenseData {
  const from = shape.map((size, axis) => (size === 1 ? 0 : (at[axis] ?? 0)));
  const sizes = shape.map((size, axis) => (at[axis] === undefined ? size : 1)) as unknown as Shape4;
  const result = new Float32Array(elementCount(sizes));
  const [, t, h, d] = shape;
  let next = 0;
  for (let a = 0; a < sizes[0]; a++) {
    for (let b = 0; b < sizes[1]; b++) {
      for (let c = 0; c < sizes[2]; c++) {
        const first = (((from[0]! + a) * t + from[1]! + b) * h + from[2]! + c) * d + from[3]!;
        result.set(data.subarray(first, first + sizes[3]), next);
        next += sizes[3];
      }
    }
  }
  return { data: result, shape: sizes };
}
