import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { SoftmaxOptions } from "./problem.js";

/** A problem that tests, benchmarks and pages all read. Sizes, not data. */
export interface SoftmaxCase {
  readonly name: string;
  readonly batches: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly options: Pick<SoftmaxOptions, "causal" | "queryOffset" | "scale"> & {
    readonly keyStarts?: readonly number[];
    readonly keyLengths?: readonly number[];
  };
}

/** Largest error of f32 storage, relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;

const base = {
  batches: 1,
  tokensQ: 33,
  tokensK: 33,
  heads: 2,
  kvHeads: 2,
  headDim: 32,
  valueDim: 32,
  options: {},
};

function define(name: string, changes: Partial<Omit<SoftmaxCase, "name">>): SoftmaxCase {
  return { ...base, ...changes, name };
}

/** Every head dimension has its own register and remainder layout; these are the ones at the edges and in the field. */
const HEAD_DIMS = [1, 2, 3, 4, 5, 15, 16, 17, 40, 63, 64, 65, 72, 80, 96, 127, 128, 129, 160, 192, 255, 256];

export const SOFTMAX_CASES: readonly SoftmaxCase[] = [
  ...HEAD_DIMS.map((dim) =>
    define(`head dim ${dim}`, { headDim: dim, valueDim: dim, tokensQ: 18, tokensK: 37 }),
  ),
  ...HEAD_DIMS.map((dim) =>
    define(`decode head dim ${dim}`, { headDim: dim, valueDim: dim, tokensQ: 1, tokensK: 70, heads: 4 }),
  ),
  define("Dv wider than D", { headDim: 24, valueDim: 112 }),
  define("Dv narrower than D", { headDim: 112, valueDim: 7 }),
  define("Dv 256 from D 1", { headDim: 1, valueDim: 256, tokensQ: 9 }),
  define("decode Dv different from D", { headDim: 24, valueDim: 100, tokensQ: 2, tokensK: 300 }),
  define("one query, one key", { tokensQ: 1, tokensK: 1, heads: 1, kvHeads: 1 }),
  define("one key", { tokensQ: 20, tokensK: 1 }),
  ...[2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 64, 65, 130].map((n) =>
    define(`causal ${n} tokens`, { tokensQ: n, tokensK: n, options: { causal: true } }),
  ),
  define("causal chunk at the end", { tokensQ: 17, tokensK: 81, options: { causal: true } }),
  define("causal with more queries than keys", { tokensQ: 50, tokensK: 20, options: { causal: true } }),
  define("causal decode of 4", { tokensQ: 4, tokensK: 600, options: { causal: true } }),
  define("causal decode with more queries than keys", { tokensQ: 8, tokensK: 3, options: { causal: true } }),
  define("query offset 5", { tokensQ: 20, tokensK: 60, options: { causal: true, queryOffset: 5 } }),
  define("query offset -9", { tokensQ: 20, tokensK: 60, options: { causal: true, queryOffset: -9 } }),
  define("query offset past the keys", {
    tokensQ: 12,
    tokensK: 30,
    options: { causal: true, queryOffset: 100 },
  }),
  define("query offset before the keys", {
    tokensQ: 12,
    tokensK: 30,
    options: { causal: true, queryOffset: -100 },
  }),
  define("grouped heads 8 to 2", { heads: 8, kvHeads: 2, options: { causal: true } }),
  define("multi-query", { heads: 6, kvHeads: 1 }),
  define("grouped decode 8 to 2", { heads: 8, kvHeads: 2, tokensQ: 1, tokensK: 700 }),
  define("grouped decode 12 to 1, 3 tokens", {
    heads: 12,
    kvHeads: 1,
    tokensQ: 3,
    tokensK: 513,
    options: { causal: true },
  }),
  define("batches", { batches: 3, tokensQ: 21, tokensK: 40 }),
  define("decode batches", { batches: 5, tokensQ: 1, tokensK: 90 }),
  define("scale 0.3", { options: { scale: 0.3 } }),
  define("scale 0 is the mean of the values", { options: { scale: 0 } }),
  define("negative scale", { options: { scale: -0.7 } }),
  define("right padding", { batches: 4, tokensK: 50, options: { keyLengths: [50, 1, 33, 0] } }),
  define("left padding", { batches: 4, tokensK: 50, options: { keyStarts: [0, 49, 32, 50] } }),
  define("both paddings, causal", {
    batches: 3,
    tokensQ: 50,
    tokensK: 50,
    options: { causal: true, keyStarts: [3, 0, 40], keyLengths: [50, 20, 41] },
  }),
  define("starts past lengths see nothing", {
    batches: 2,
    options: { keyStarts: [20, 0], keyLengths: [10, 33] },
  }),
  define("decode with paddings", {
    batches: 4,
    tokensQ: 1,
    tokensK: 900,
    options: { keyStarts: [0, 700, 5, 10], keyLengths: [900, 800, 5, 0] },
  }),
  define('causal "end" aligned to lengths', {
    batches: 3,
    tokensQ: 6,
    tokensK: 300,
    options: { causal: true, queryOffset: "end", keyLengths: [300, 6, 3] },
  }),
  define('causal "end", tiled', {
    batches: 2,
    tokensQ: 20,
    tokensK: 64,
    options: { causal: true, queryOffset: "end", keyLengths: [64, 25] },
  }),
  define("long decode", { tokensQ: 1, tokensK: 5000, heads: 1, kvHeads: 1, headDim: 64, valueDim: 64 }),
];

export function shapesOf(problem: SoftmaxCase): { q: Shape4; k: Shape4; v: Shape4; out: Shape4 } {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim } = problem;
  return {
    q: [batches, tokensQ, heads, headDim],
    k: [batches, tokensK, kvHeads, headDim],
    v: [batches, tokensK, kvHeads, valueDim],
    out: [batches, tokensQ, heads, valueDim],
  };
}
