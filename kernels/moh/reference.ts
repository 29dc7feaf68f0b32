import {
  type DenseTensor,
  type SoftmaxReferenceInputs,
  softmaxAttentionReference,
} from "../softmax/reference.js";

export interface RouterReferenceInputs {
  readonly heads: number;
  readonly sharedHeads: number;
  readonly topK: number;
  /** [B, T, 1, C], for the learned router; needs `weights`. */
  readonly x?: DenseTensor;
  /** [1, 1, C, columns] each, for the heads there are. */
  readonly weights?: {
    readonly routed?: DenseTensor;
    readonly shared?: DenseTensor;
    readonly balance?: DenseTensor;
  };
  /** [B, T, H, D] before any rotation, for the norm router. */
  readonly q?: DenseTensor;
}

export interface RouterReferenceResult {
  /** [B, T, H], exactly 0 where a head is not active. */
  readonly gates: Float64Array;
  /** [B, T, L]: logits of the routed heads, of the shared heads, of the balance; or squared norms of the routed heads' queries. */
  readonly scores: Float64Array;
  /** Load-balance loss of the learned router; 0 for no routed heads. */
  readonly loss: number;
  /** Least difference between the scores of a head that was taken and of one that was not: where f32 may choose another. */
  readonly margin: number;
}

/** Least sum of probabilities that routed gates are divided by: f32's epsilon. */
const LEAST_SUM = 2 ** -23;

/**
 * Gates of mixture-of-head attention in float64 straight from their equations (arXiv 2410.11842 and its code; README.md). The
 * specification of this folder's router; never used to compute.
 */
export function headRouterReference(inputs: RouterReferenceInputs): RouterReferenceResult {
  const { heads, sharedHeads, topK, x, q } = inputs;
  const routed = heads - sharedHeads;
  const [batches, tokens] = (x ?? q)!.shape;
  const rows = batches * tokens;
  const gates = new Float64Array(rows * heads);
  const probabilities = new Float64Array(routed);
  const choices = new Float64Array(routed);
  const scores: number[] = [];
  let margin = Number.POSITIVE_INFINITY;
  for (let row = 0; row < rows; row++) {
    const found = q ? normScores(q, row, sharedHeads) : logits(inputs, row);
    scores.push(...found);
    const candidates = found.slice(0, routed);
    const order = candidates.map((_, e) => e).sort((a, b) => candidates[b]! - candidates[a]! || a - b);
    const taken = new Set(order.slice(0, topK));
    if (topK > 0 && topK < routed)
      margin = Math.min(margin, candidates[order[topK - 1]!]! - candidates[order[topK]!]!);
    const p = softmax(candidates);
    for (const [e, value] of p.entries()) {
      probabilities[e]! += value / rows;
      if (taken.has(e)) choices[e]! += 1 / rows;
    }
    const own = q ? binaryGates(inputs, taken) : learnedGates(inputs, found, p, taken);
    gates.set(own, row * heads);
  }
  const share = probabilities.reduce((sum, p, e) => sum + p * choices[e]!, 0);
  return { gates, scores: Float64Array.from(scores), loss: topK > 0 ? routed * share : 0, margin };
}

function learnedGates(
  { heads, sharedHeads, topK, weights }: RouterReferenceInputs,
  scores: readonly number[],
  p: readonly number[],
  taken: ReadonlySet<number>,
): number[] {
  const routed = topK > 0 ? heads - sharedHeads : 0;
  const kept = Math.max(
    [...taken].reduce((sum, e) => sum + p[e]!, 0),
    LEAST_SUM,
  );
  const columns = (tensor?: DenseTensor) => tensor?.shape[3] ?? 0;
  const afterRouted = columns(weights?.routed);
  const afterShared = afterRouted + columns(weights?.shared);
  const shared = weights?.shared
    ? softmax(scores.slice(afterRouted, afterShared)).map((share) => sharedHeads * share)
    : Array.from({ length: sharedHeads }, () => 1);
  const [alphaShared, alphaRouted] = weights?.balance
    ? softmax(scores.slice(afterShared)).map((share) => 2 * share)
    : [1, 1];
  return Array.from({ length: heads }, (_, h) => {
    if (h < sharedHeads) return alphaShared! * shared[h]!;
    const e = h - sharedHeads;
    return routed > 0 && taken.has(e) ? (alphaRouted! * topK * p[e]!) / kept : 0;
  });
}

function binaryGates({ heads, sharedHeads }: RouterReferenceInputs, taken: ReadonlySet<number>): number[] {
  return Array.from({ length: heads }, (_, h) => (h < sharedHeads || taken.has(h - sharedHeads) ? 1 : 0));
}

/** One row of x times each matrix in turn. */
function logits({ x, weights = {} }: RouterReferenceInputs, row: number): number[] {
  const inner = x!.shape[3];
  return [weights.routed, weights.shared, weights.balance].flatMap((matrix) => {
    const columns = matrix?.shape[3] ?? 0;
    return Array.from({ length: columns }, (_, column) => {
      let sum = 0;
      for (let c = 0; c < inner; c++) sum += x!.data[row * inner + c]! * matrix!.data[c * columns + column]!;
      return sum;
    });
  });
}

/** Squared norms of the routed heads' queries: their order is that of the norms. */
function normScores(
  { data, shape: [, , heads, dim] }: DenseTensor,
  row: number,
  sharedHeads: number,
): number[] {
  return Array.from({ length: heads - sharedHeads }, (_, e) => {
    const from = (row * heads + sharedHeads + e) * dim;
    let sum = 0;
    for (let c = from; c < from + dim; c++) sum += data[c]! ** 2;
    return sum;
  });
}

function softmax(values: readonly number[]): number[] {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

export interface MixtureReferenceInputs extends Omit<RouterReferenceInputs, "q" | "heads"> {
  /** [B, T, H, D]; decides by its norms where `router` says so. */
  readonly q: DenseTensor;
  readonly k: DenseTensor;
  readonly v: DenseTensor;
  /** Default `"learned"`. */
  readonly router?: "learned" | "norm";
  /** Options of the attention inside. */
  readonly attention?: Omit<SoftmaxReferenceInputs, "q" | "k" | "v">;
  /** [1, 1, H · Dv, C] */
  readonly weight: DenseTensor;
  /** [C] */
  readonly bias?: ArrayLike<number>;
}

/** Mixture-of-head attention in float64: y_t = b + sum_h g_th W_h o_th. @returns [B, T, C] and what it comes from */
export function mixtureOfHeadReference(
  inputs: MixtureReferenceInputs,
): RouterReferenceResult & { readonly out: Float64Array; readonly core: Float64Array } {
  const { q, k, v, router = "learned", attention, weight, bias, x, weights, sharedHeads, topK } = inputs;
  const heads = q.shape[2];
  const routed = headRouterReference({
    ...{ heads, sharedHeads, topK },
    ...(router === "norm" ? { q } : { ...(x && { x }), ...(weights && { weights }) }),
  });
  const { out: attended } = softmaxAttentionReference({ ...attention, q, k, v });
  const valueDim = v.shape[3];
  const core = attended.map((value, i) => {
    const gate = routed.gates[Math.floor(i / valueDim)]!;
    return gate === 0 ? 0 : gate * value;
  });
  return { ...routed, core, out: projectionReference(core, heads * valueDim, weight, bias) };
}

/** Rows of `width` channels times [1, 1, width, C], plus a bias. */
export function projectionReference(
  core: ArrayLike<number>,
  width: number,
  weight: DenseTensor,
  bias?: ArrayLike<number>,
): Float64Array {
  const columns = weight.shape[3];
  const out = new Float64Array((core.length / width) * columns);
  for (let row = 0; row < core.length / width; row++) {
    const own = out.subarray(row * columns, (row + 1) * columns);
    if (bias) own.set(bias);
    for (let c = 0; c < width; c++) {
      const value = core[row * width + c]!;
      if (value !== 0) for (let n = 0; n < columns; n++) own[n]! += value * weight.data[c * columns + n]!;
    }
  }
  return out;
}
