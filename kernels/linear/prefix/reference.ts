/**
 * Prefix softmax in float64, from the equation: s_j = scale phi(q_j) · k_j, o_i = sum over j <= i of e^(s_j) v_j over the sum of
 * e^(s_j), token by token. Never shipped.
 */
export interface PrefixSoftmaxReferenceInputs {
  /** [B, N, H, D] */
  readonly q: DenseTensor;
  /** [B, N, Hkv, D] */
  readonly k: DenseTensor;
  /** [B, N, Hkv, Dv] */
  readonly v: DenseTensor;
  readonly activation?: "silu" | "identity";
  readonly scale?: number;
  readonly keyLengths?: ArrayLike<number>;
}

export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: readonly [number, number, number, number];
}

/** @returns [B, N, H, Dv]; rows that see no key are zero */
export function prefixSoftmaxReference(inputs: PrefixSoftmaxReferenceInputs): Float64Array {
  const { q, k, v, activation = "silu", keyLengths } = inputs;
  const [batches, tokens, heads, dim] = q.shape;
  const { scale = 1 / Math.sqrt(dim) } = inputs;
  const valueDim = v.shape[3];
  const phi = activation === "silu" ? (x: number) => x / (1 + Math.exp(-x)) : (x: number) => x;
  const out = new Float64Array(batches * tokens * heads * valueDim);
  for (let b = 0; b < batches; b++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor((h * k.shape[2]) / heads);
      const keys = Math.min(tokens, keyLengths?.[b] ?? tokens);
      // Relative to the largest score so far.
      let [most, sum] = [-Infinity, 0];
      const values = new Float64Array(valueDim);
      for (let i = 0; i < tokens; i++) {
        if (i < keys) {
          const [query, key] = [rowOf(q, b, i, h), rowOf(k, b, i, kvHead)];
          const score = scale * query.reduce((total, x, d) => total + phi(x) * key[d]!, 0);
          const before = most;
          most = Math.max(most, score);
          const [factor, weight] = [Math.exp(before - most), Math.exp(score - most)];
          sum = factor * sum + weight;
          for (const [d, value] of rowOf(v, b, i, kvHead).entries())
            values[d] = factor * values[d]! + weight * value;
        }
        for (let d = 0; d < valueDim; d++)
          out[((b * tokens + i) * heads + h) * valueDim + d] = sum > 0 ? values[d]! / sum : 0;
      }
    }
  }
  return out;
}

function rowOf(
  { data, shape: [, tokens, heads, dim] }: DenseTensor,
  b: number,
  t: number,
  h: number,
): number[] {
  const begin = ((b * tokens + t) * heads + h) * dim;
  return Array.from({ length: dim }, (_, d) => data[begin + d]!);
}
