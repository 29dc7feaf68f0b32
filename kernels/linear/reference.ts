import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { FeatureMap } from "./options.js";

export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape4;
}

export interface LinearReferenceProblem {
  /** Dense [B, N, H, D], [B, N, H, D] and [B, N, H, Dv]. */
  readonly q: DenseTensor;
  readonly k: DenseTensor;
  readonly v: DenseTensor;
  readonly decay?: ArrayLike<number>;
  readonly scale?: number;
  readonly causal?: boolean;
  readonly featureMap?: FeatureMap;
  readonly normalize?: boolean;
  readonly epsilon?: number;
  /** Dense [B, H, D, Dv] and [B, H, D]. */
  readonly state?: { readonly s: ArrayLike<number>; readonly z?: ArrayLike<number> };
}

export interface LinearReferenceResult {
  /** Dense [B, N, H, Dv]. */
  readonly out: Float64Array;
  readonly s: Float64Array;
  readonly z: Float64Array;
}

/** Linear attention in float64, token by token: S = λ S + φ(k) vᵀ, z = λ z + φ(k), o = scale φ(q) S / (scale φ(q) z + epsilon). */
export function linearAttentionReference(problem: LinearReferenceProblem): LinearReferenceResult {
  const { q, k, v, decay, scale = 1, causal = true, normalize = false, epsilon = 1e-10 } = problem;
  const phi = FEATURE_MAPS[problem.featureMap ?? "identity"];
  const [batches, tokens, heads, dim] = q.shape;
  const width = v.shape[3];
  const out = new Float64Array(batches * tokens * heads * width);
  const s = Float64Array.from(problem.state?.s ?? new Float64Array(batches * heads * dim * width));
  const z = Float64Array.from(problem.state?.z ?? new Float64Array(batches * heads * dim));
  for (let b = 0; b < batches; b++) {
    for (let h = 0; h < heads; h++) {
      const factor = Math.exp(-(decay?.[h] ?? 0));
      const state = s.subarray((b * heads + h) * dim * width, (b * heads + h + 1) * dim * width);
      const sums = z.subarray((b * heads + h) * dim, (b * heads + h + 1) * dim);
      const row = (t: number) => (b * tokens + t) * heads + h;
      const add = (t: number): void => {
        for (let d = 0; d < dim; d++) {
          const key = phi(k.data[row(t) * dim + d]!);
          sums[d] = factor * sums[d]! + key;
          for (let e = 0; e < width; e++)
            state[d * width + e] = factor * state[d * width + e]! + key * v.data[row(t) * width + e]!;
        }
      };
      const read = (t: number): void => {
        let divisor = normalize ? epsilon : 1;
        for (let d = 0; d < dim; d++) {
          const query = scale * phi(q.data[row(t) * dim + d]!);
          if (normalize) divisor += query * sums[d]!;
          for (let e = 0; e < width; e++) out[row(t) * width + e]! += query * state[d * width + e]!;
        }
        for (let e = 0; e < width; e++) out[row(t) * width + e]! /= divisor;
      };
      for (let t = 0; t < tokens; t++) {
        add(t);
        if (causal) read(t);
      }
      for (let t = 0; t < tokens && !causal; t++) read(t);
    }
  }
  return { out, s, z };
}

/** The derivative by forward and reverse accumulation over the recurrence, token by token; without normaliser. */
export function linearAttentionGradientReference(
  problem: LinearReferenceProblem & { readonly dOut: DenseTensor; readonly dState?: ArrayLike<number> },
): { dq: Float64Array; dk: Float64Array; dv: Float64Array; ds: Float64Array } {
  const { q, k, v, dOut, decay, scale = 1, causal = true } = problem;
  const name = problem.featureMap ?? "identity";
  const [phi, slope] = [FEATURE_MAPS[name], FEATURE_SLOPES[name]];
  const [batches, tokens, heads, dim] = q.shape;
  const width = v.shape[3];
  const dq = new Float64Array(batches * tokens * heads * dim);
  const dk = new Float64Array(dq.length);
  const dv = new Float64Array(batches * tokens * heads * width);
  const ds = Float64Array.from(problem.dState ?? new Float64Array(batches * heads * dim * width));
  for (let b = 0; b < batches; b++) {
    for (let h = 0; h < heads; h++) {
      const factor = Math.exp(-(decay?.[h] ?? 0));
      const from = (b * heads + h) * dim * width;
      const state = Float64Array.from(problem.state?.s ?? new Float64Array(ds.length)).subarray(
        from,
        from + dim * width,
      );
      const gradient = ds.subarray(from, from + dim * width);
      const row = (t: number) => (b * tokens + t) * heads + h;
      const forward = (t: number): void => {
        for (let d = 0; d < dim; d++)
          for (let e = 0; e < width; e++)
            state[d * width + e] =
              factor * state[d * width + e]! + phi(k.data[row(t) * dim + d]!) * v.data[row(t) * width + e]!;
      };
      const backQuery = (t: number): void => {
        for (let d = 0; d < dim; d++) {
          let sum = 0;
          for (let e = 0; e < width; e++) sum += dOut.data[row(t) * width + e]! * state[d * width + e]!;
          dq[row(t) * dim + d] = scale * sum * slope(q.data[row(t) * dim + d]!);
        }
      };
      const backRead = (t: number): void => {
        for (let d = 0; d < dim; d++)
          for (let e = 0; e < width; e++)
            gradient[d * width + e]! +=
              scale * phi(q.data[row(t) * dim + d]!) * dOut.data[row(t) * width + e]!;
      };
      const backAdd = (t: number): void => {
        for (let d = 0; d < dim; d++) {
          const x = k.data[row(t) * dim + d]!;
          let sum = 0;
          for (let e = 0; e < width; e++) {
            sum += gradient[d * width + e]! * v.data[row(t) * width + e]!;
            dv[row(t) * width + e]! += phi(x) * gradient[d * width + e]!;
          }
          dk[row(t) * dim + d] = sum * slope(x);
        }
        for (let i = 0; i < gradient.length; i++) gradient[i]! *= factor;
      };
      for (let t = 0; t < tokens; t++) {
        forward(t);
        if (causal) backQuery(t);
      }
      for (let t = 0; t < tokens && !causal; t++) {
        backQuery(t);
        backRead(t);
      }
      for (let t = tokens - 1; t >= 0; t--) {
        if (causal) backRead(t);
        backAdd(t);
      }
    }
  }
  return { dq, dk, dv, ds };
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

const FEATURE_MAPS: Readonly<Record<FeatureMap, (x: number) => number>> = {
  identity: (x) => x,
  silu: (x) => x * logistic(x),
  "elu+1": (x) => (x > 0 ? x + 1 : Math.exp(x)),
  relu: (x) => Math.max(x, 0),
};

const FEATURE_SLOPES: Readonly<Record<FeatureMap, (x: number) => number>> = {
  identity: () => 1,
  silu: (x) => logistic(x) * (1 + x * (1 - logistic(x))),
  "elu+1": (x) => (x > 0 ? 1 : Math.exp(x)),
  relu: (x) => (x > 0 ? 1 : 0),
};
