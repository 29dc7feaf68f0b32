import type { HeadChoice } from "./head-choice.js";
import type { RouterKind } from "./router-problem.js";

/** A problem that tests and benchmarks read. Sizes and choices, not data. */
export interface MixtureCase extends HeadChoice {
  readonly name: string;
  readonly batches: number;
  readonly tokens: number;
  /** Keys, of which the last `tokens` are those of the queries. */
  readonly tokensK: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** Channels of x and of the output. */
  readonly width: number;
  readonly outer: number;
  readonly router: RouterKind;
  /** Storage of x, q, k and v, and of the output. */
  readonly dtype: "f32" | "f16";
  readonly outDtype: "f32" | "f16";
  /** Matrices as PyTorch keeps them, [out, in] row-major; else [in, out]. */
  readonly innerFirst: boolean;
  readonly hasBias: boolean;
  readonly options: CaseOptions;
}

interface CaseOptions {
  readonly causal?: boolean;
  readonly rope?: { readonly theta?: number };
  readonly window?: { readonly left?: number };
  readonly keyLengths?: readonly number[];
  readonly queryOffset?: number | "end";
}

/** Largest error of f32 storage, relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;

/** The same for f16 storage, against the reference on rounded inputs: half a unit of the eleventh bit, and a little. */
export const TOLERANCE_F16 = 2e-3;

const base: Omit<MixtureCase, "name"> = {
  batches: 1,
  tokens: 70,
  tokensK: 70,
  heads: 8,
  kvHeads: 8,
  headDim: 16,
  valueDim: 16,
  width: 32,
  outer: 32,
  sharedHeads: 2,
  topK: 2,
  router: "learned",
  dtype: "f32",
  outDtype: "f32",
  innerFirst: true,
  hasBias: true,
  options: {},
};

function define(name: string, changes: Partial<typeof base>): MixtureCase {
  const tokensK = changes.tokensK ?? changes.tokens ?? base.tokensK;
  const kvHeads = changes.kvHeads ?? changes.heads ?? base.kvHeads;
  return { ...base, ...changes, tokensK, kvHeads, name };
}

const NORM = { router: "norm", options: { causal: true, rope: { theta: 500_000 } } } as const;

/** More ways to choose heads than there are tokens. */
const LISTED = { heads: 14, sharedHeads: 0, topK: 4, tokens: 40 } as const;

/** Head widths and their remainders by the four channels of a vec4. */
const DIMS: readonly [headDim: number, valueDim: number, outer: number][] = [
  [1, 1, 1],
  [3, 5, 7],
  [64, 64, 512],
  [128, 128, 132],
];

export const MIXTURE_CASES: readonly MixtureCase[] = [
  define("two shared, two of six", {}),
  define("no shared heads", { sharedHeads: 0, topK: 3 }),
  define("no shared heads, one of forty", { heads: 40, kvHeads: 8, sharedHeads: 0, topK: 1, tokens: 130 }),
  define("no shared heads, all of eight", { sharedHeads: 0, topK: 8 }),
  define("one shared head", { sharedHeads: 1, topK: 3 }),
  define("one shared head alone", { sharedHeads: 1, topK: 0, heads: 4 }),
  define("shared heads alone, of more", { sharedHeads: 3, topK: 0 }),
  define("all heads shared", { sharedHeads: 8, topK: 0 }),
  define("all routed heads taken", { sharedHeads: 2, topK: 6 }),
  define("one head", { heads: 1, sharedHeads: 1, topK: 0 }),
  define("many heads", { heads: 40, sharedHeads: 5, topK: 17 }),
  define("heads too many to sort by", { ...LISTED, sharedHeads: 2, valueDim: 32 }),
  define("heads too many to sort by, f16 output", {
    ...LISTED,
    ...{ sharedHeads: 2, valueDim: 32, outDtype: "f16" },
  }),
  define("heads too many to sort by, odd sizes, no bias", {
    ...LISTED,
    ...{ batches: 2, valueDim: 21, outer: 30, outDtype: "f16", hasBias: false },
  }),
  define("grouped heads", { kvHeads: 2, options: { causal: true } }),
  ...DIMS.map(([headDim, valueDim, outer]) =>
    define(`D ${headDim}, Dv ${valueDim}, C ${outer}`, {
      ...{ headDim, valueDim, outer, width: outer, tokens: 37, tokensK: 75, heads: 4, sharedHeads: 1 },
    }),
  ),
  define("norm router", NORM),
  define("norm router, grouped heads", { ...NORM, batches: 2, kvHeads: 2, sharedHeads: 4, tokens: 33 }),
  define("norm router, no shared heads, odd D", {
    ...NORM,
    sharedHeads: 0,
    headDim: 6,
    valueDim: 5,
    topK: 3,
  }),
  define("batches", { batches: 3, tokens: 41, tokensK: 50 }),
  define("many tokens", { tokens: 1100, heads: 4, sharedHeads: 1, topK: 1, options: { causal: true } }),
  define("one token", { tokens: 1, tokensK: 200, options: { causal: true } }),
  define("one token of each batch, a cache in part", {
    ...{ batches: 3, tokens: 1, tokensK: 200, kvHeads: 2 },
    options: { causal: true, queryOffset: "end", keyLengths: [200, 1, 77] },
  }),
  define("one token, norm router", { ...NORM, tokens: 1, tokensK: 90 }),
  define("one token, no shared heads", { tokens: 1, sharedHeads: 0, topK: 1, tokensK: 40 }),
  define("a few tokens, odd sizes", { tokens: 5, valueDim: 5, headDim: 7, outer: 9, width: 11 }),
  define("padded keys", { batches: 2, options: { keyLengths: [70, 13] } }),
  define("a window", { tokens: 150, options: { causal: true, window: { left: 31 } } }),
  define("[in, out] matrices", { innerFirst: false }),
  define("[in, out] matrices, odd sizes", { innerFirst: false, valueDim: 5, outer: 30, width: 31 }),
  define("no bias", { hasBias: false }),
  ...[16, 5].flatMap((dim) => {
    const half = { dtype: "f16", outDtype: "f16", headDim: dim, valueDim: dim, outer: 2 * dim } as const;
    return [
      define(`f16, D ${dim}`, half),
      ...(dim === 5 ? [define("one token of f16", { ...half, tokens: 1, tokensK: 40 })] : []),
      define(`f16 to f32, D ${dim}, norm router`, { ...half, ...NORM, headDim: 16, outDtype: "f32" }),
      define(`f32 to f16, D ${dim}`, { ...half, dtype: "f32" }),
    ];
  }),
];
