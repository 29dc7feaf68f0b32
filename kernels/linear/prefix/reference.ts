/**
 * Prefix softmax in float64, straight from the equation: s_j = scale phi(q_j) · k_j, o_i = sum over j <= i of e^(s_j) v_j over the sum of
 * e^(s_j). Never shipped.
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
      const scores = Array.from({ length: keys }, (_, j) => {
        const [query, key] = [rowOf(q, b, j, h), rowOf(k, b, j, kvHead)];
        return scale * query.reduce((sum, x, d) => sum + phi(x) * key[d]!, 0);
      });
      for (let i = 0; i < tokens; i++) {
        const visible = scores.slice(0, i + 1);
        const most = Math.max(...visible);
        const weights = visible.map((score) => Math.exp(score - most));
        const sum = weights.reduce((a, w) => a + w, 0);
        for (const [j, weight] of weights.entries()) {
          const values = rowOf(v, b, j, kvHead);
          for (let d = 0; d < valueDim; d++)
            out[((b * tokens + i) * heads + h) * valueDim + d]! += (weight / sum) * values[d]!;
        }
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
