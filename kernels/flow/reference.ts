import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** A dense row-major tensor [batch, tokens, heads, dim]. */
export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape4;
}

export interface FlowReferenceInputs {
  /** [B, L, H, D] */
  readonly q: DenseTensor;
  /** [B, S, H, D] */
  readonly k: DenseTensor;
  /** [B, S, H, Dv] */
  readonly v: DenseTensor;
  readonly causal?: boolean;
  /** Bound of the conserved outgoing flow; null for none. Default 1. */
  readonly clamp?: number | null;
  /** Default 1e-6. */
  readonly epsilon?: number;
  /** `cv` adds epsilon once more to each flow. Default `core`. */
  readonly variant?: "core" | "cv";
  /** [B] tokens that are no padding; default all. */
  readonly queryLengths?: ArrayLike<number>;
  readonly keyLengths?: ArrayLike<number>;
}

/** What the causal form carries on: sums over the tokens seen. */
interface Carried {
  readonly queries: Float64Array;
  readonly keys: Float64Array;
  readonly queriesPerFlow: Float64Array;
  readonly keysPerFlow: Float64Array;
  /** [D, Dv] */
  readonly matrix: Float64Array;
  /** Sum of exp(score - max). */
  competition: number;
  max: number;
}

/**
 * Flow-Attention in float64 straight from its equations, token by token (arXiv 2202.06258; README.md).
 * The specification of this folder's kernels; never used to compute.
 *
 * @returns [B, L, H, Dv]
 */
export function flowAttentionReference(inputs: FlowReferenceInputs): Float64Array {
  const { q, k, v, causal = false } = inputs;
  const [batches, tokens, heads] = q.shape;
  const valueDim = v.shape[3];
  const out = new Float64Array(batches * tokens * heads * valueDim);
  for (let b = 0; b < batches; b++) {
    const sinks = inputs.queryLengths?.[b] ?? tokens;
    const sources = inputs.keyLengths?.[b] ?? k.shape[1];
    for (let h = 0; h < heads; h++) {
      const head = {
        queries: rows(q, b, h, sinks).map(logistic),
        keys: rows(k, b, h, sources).map(logistic),
        values: rows(v, b, h, sources),
      };
      const results = causal ? causalHead(head, inputs) : wholeHead(head, inputs);
      for (const [t, row] of results.entries()) out.set(row, ((b * tokens + t) * heads + h) * valueDim);
    }
  }
  return out;
}

interface Head {
  readonly queries: readonly Float64Array[];
  readonly keys: readonly Float64Array[];
  readonly values: readonly Float64Array[];
}

function wholeHead({ queries, keys, values }: Head, inputs: FlowReferenceInputs): Float64Array[] {
  if (keys.length === 0) return [];
  const { flow, clamped } = operations(inputs);
  const [dim, valueDim] = [inputs.q.shape[3], inputs.v.shape[3]];
  const keySum = weightedSum(keys, () => 1, dim);
  const querySum = weightedSum(queries, () => 1, dim);
  const incoming = queries.map((query) => flow(query, keySum));
  const outgoing = keys.map((key) => flow(key, querySum));
  const conservedKeys = weightedSum(keys, (j) => 1 / outgoing[j]!, dim);
  const conservedQueries = weightedSum(queries, (i) => 1 / incoming[i]!, dim);
  const scores = keys.map((key) => clamped(flow(key, conservedQueries)));
  const max = scores.reduce((most, score) => Math.max(most, score), 0);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - max), 0);
  const matrix = new Float64Array(dim * valueDim);
  for (const [j, key] of keys.entries())
    addOuterProduct(matrix, key, values[j]!, (keys.length * Math.exp(scores[j]! - max)) / total);
  return queries.map((query, i) => {
    const allocation = sigmoid((flow(query, conservedKeys) * queries.length) / keys.length);
    return product(query, matrix, valueDim, allocation / incoming[i]!);
  });
}

function causalHead({ queries, keys, values }: Head, inputs: FlowReferenceInputs): Float64Array[] {
  const { flow, clamped } = operations(inputs);
  const [dim, valueDim] = [inputs.q.shape[3], inputs.v.shape[3]];
  const carried: Carried = {
    queries: new Float64Array(dim),
    keys: new Float64Array(dim),
    queriesPerFlow: new Float64Array(dim),
    keysPerFlow: new Float64Array(dim),
    matrix: new Float64Array(dim * valueDim),
    competition: 0,
    max: 0,
  };
  return queries.map((query, t) => {
    const [key, count] = [keys[t]!, t + 1];
    add(carried.keys, key, 1);
    add(carried.queries, query, 1);
    const incoming = flow(query, carried.keys);
    const outgoing = flow(key, carried.queries);
    add(carried.keysPerFlow, key, count / outgoing);
    add(carried.queriesPerFlow, query, count / incoming);
    const allocation = sigmoid(flow(query, carried.keysPerFlow) / count);
    const score = clamped(flow(key, carried.queriesPerFlow) / count);
    const max = Math.max(carried.max, score);
    carried.competition = carried.competition * Math.exp(carried.max - max) + Math.exp(score - max);
    carried.max = max;
    addOuterProduct(carried.matrix, key, values[t]!, (count * Math.exp(score - max)) / carried.competition);
    return product(query, carried.matrix, valueDim, allocation / incoming);
  });
}

function operations({ epsilon = 1e-6, clamp = 1, variant = "core" }: FlowReferenceInputs) {
  const extra = variant === "cv" ? epsilon : 0;
  return {
    flow: (x: Float64Array, y: Float64Array) =>
      x.reduce((sum, value, c) => sum + (value + epsilon) * (y[c]! + epsilon), extra),
    clamped: (score: number) => (clamp === null ? score : Math.min(Math.max(score, -clamp), clamp)),
  };
}

/** Rows of one head, without padding. */
function rows({ data, shape }: DenseTensor, batch: number, head: number, count: number): Float64Array[] {
  const [, tokens, heads, dim] = shape;
  return Array.from({ length: count }, (_, t) =>
    Float64Array.from({ length: dim }, (_, c) => data[((batch * tokens + t) * heads + head) * dim + c]!),
  );
}

function sigmoid(x: number): number {
  return x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x));
}

function logistic(row: Float64Array): Float64Array {
  return row.map(sigmoid);
}

function add(sum: Float64Array, row: Float64Array, weight: number): void {
  for (const [c, value] of row.entries()) sum[c]! += value * weight;
}

function weightedSum(
  all: readonly Float64Array[],
  weight: (index: number) => number,
  dim: number,
): Float64Array {
  const sum = new Float64Array(dim);
  for (const [index, row] of all.entries()) add(sum, row, weight(index));
  return sum;
}

function addOuterProduct(matrix: Float64Array, key: Float64Array, value: Float64Array, weight: number): void {
  for (const [c, channel] of key.entries())
    for (const [e, one] of value.entries()) matrix[c * value.length + e]! += channel * weight * one;
}

function product(query: Float64Array, matrix: Float64Array, valueDim: number, factor: number): Float64Array {
  return Float64Array.from({ length: valueDim }, (_, e) =>
    query.reduce((sum, channel, c) => sum + channel * factor * matrix[c * valueDim + e]!, 0),
  );
}
