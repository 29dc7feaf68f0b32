import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** Relative to the largest reference value; f16 storage rounds the output once. */
export const TOLERANCE_F32 = 1e-5;
export const TOLERANCE_F16 = 2e-3;

/** A problem that tests run and the reference checks. */
export interface SaleCase {
  readonly name: string;
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly dtype: "f32" | "f16";
  /** [Hq] */
  readonly thresholds: readonly number[];
  readonly blockK: number;
  readonly segment: number;
  readonly localWindow: number;
  readonly scale?: number;
  /** Standard deviation of q and k, and what is added to every channel of theirs. */
  readonly spread: number;
  readonly mean: number;
  /** Queries all the same, or keys: their means are exact, and their groups of no size. */
  readonly constant?: "queries" | "keys";
}

const PLAIN = {
  batches: 1,
  tokens: 400,
  heads: 1,
  kvHeads: 1,
  headDim: 32,
  valueDim: 32,
  dtype: "f32",
  blockK: 32,
  segment: 128,
  localWindow: 128,
  spread: 1,
  mean: 0,
} as const satisfies Partial<SaleCase>;

/** Random keys are all alike, so that thresholds have to be larger than a trained model's for some blocks to be dropped. */
function define(name: string, given: Partial<SaleCase> = {}): SaleCase {
  const heads = given.heads ?? PLAIN.heads;
  const thresholds = Array.from({ length: heads }, (_, h) => 0.05 * (1 + (h % 3)));
  return { ...PLAIN, thresholds, name, ...given };
}

export const SALE_CASES: readonly SaleCase[] = [
  define("plain"),
  define("one token", { tokens: 1 }),
  define("one query block", { tokens: 64 }),
  define("all local", { tokens: 161 }),
  define("a row past a block", { tokens: 449 }),
  define("a key short of a block", { tokens: 447 }),
  define("many blocks", { tokens: 1400 }),
  define("grouped heads, two batches", { batches: 2, tokens: 330, heads: 6, kvHeads: 2, localWindow: 64 }),
  define("multi-query", { tokens: 330, heads: 3, localWindow: 64 }),
  define("blocks of 16 keys", { blockK: 16, segment: 64 }),
  define("blocks of 64 keys", { blockK: 64, tokens: 600, localWindow: 64 }),
  define("segments of 256", { segment: 256, tokens: 700 }),
  define("segments of a block", { segment: 32, localWindow: 96 }),
  define("local window of 256", { localWindow: 256, tokens: 700 }),
  define("dense, nearly dense and strict heads", {
    heads: 4,
    thresholds: [0, 9e-6, 1e-5, 0.5],
  }),
  define("D 128", { headDim: 128, valueDim: 128 }),
  define("D 256, Dv 130", { headDim: 256, valueDim: 130, tokens: 330, localWindow: 64 }),
  define("D 33, Dv 7", { headDim: 33, valueDim: 7 }),
  define("D 1", { headDim: 1, valueDim: 1 }),
  define("large scores", { spread: 4, thresholds: [0.3] }),
  define("means beside which channels are small", { mean: 2 }),
  define("scale 1", { scale: 1, thresholds: [0.3], spread: 0.5 }),
  define("the same query everywhere", { constant: "queries" }),
  define("the same key everywhere", { constant: "keys", thresholds: [0.001] }),
  define("f16", { dtype: "f16" }),
  define("f16, D 5", { dtype: "f16", headDim: 5, valueDim: 5, tokens: 333 }),
];

export function shapesOf(problem: SaleCase): { q: Shape4; k: Shape4; v: Shape4; out: Shape4 } {
  const { batches, tokens, heads, kvHeads, headDim, valueDim } = problem;
  return {
    q: [batches, tokens, heads, headDim],
    k: [batches, tokens, kvHeads, headDim],
    v: [batches, tokens, kvHeads, valueDim],
    out: [batches, tokens, heads, valueDim],
  };
}
