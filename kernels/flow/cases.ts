import type { Shape4 } from "../../src/dispatch/tensor-view.js";

/** A problem that tests and benchmarks read. Sizes and choices, not data. */
export interface FlowCase {
  readonly name: string;
  readonly batches: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** Storage of q, k and v. */
  readonly dtype: "f32" | "f16";
  readonly outDtype: "f32" | "f16";
  /** Standard deviation and mean of q and k; default 1 and 0. */
  readonly spread?: number;
  readonly mean?: number;
  /** Every so many keys one is larger by 12: nearly all flow passes through these. Default none. */
  readonly loudEvery?: number;
  readonly options: CaseOptions;
}

interface CaseOptions {
  readonly causal?: boolean;
  readonly clamp?: number | null;
  readonly epsilon?: number;
  readonly variant?: "core" | "cv";
  readonly queryLengths?: readonly number[];
  readonly keyLengths?: readonly number[];
}

/** Largest error of f32 storage, relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;

/** Where scores reach hundreds, f32 itself is off by this. */
export const TOLERANCE_LARGE_SCORES = 5e-5;

/** The same for f16 storage, against the reference on rounded inputs: half a unit of the eleventh bit, and a little. */
export const TOLERANCE_F16 = 2e-3;

const base: Omit<FlowCase, "name"> = {
  batches: 1,
  tokensQ: 70,
  tokensK: 70,
  heads: 2,
  headDim: 16,
  valueDim: 16,
  dtype: "f32",
  outDtype: "f32",
  options: {},
};

function define(name: string, changes: Partial<typeof base>): FlowCase {
  return { ...base, ...changes, name };
}

const causal = (name: string, tokens: number, changes: Partial<typeof base> = {}): FlowCase =>
  define(name, {
    ...changes,
    tokensQ: tokens,
    tokensK: tokens,
    options: { causal: true, ...changes.options },
  });

/** Few sources take what all sinks let in, so that their scores exceed 88, past which f32 has no e^score. */
const LOUD = { options: { clamp: null }, mean: -6, loudEvery: 60 } as const;

/** Widths and their remainders by the four channels of a vec4, the eight of a block, and the threads of a row. */
const DIMS: readonly [headDim: number, valueDim: number][] = [
  [1, 1],
  [3, 5],
  [4, 36],
  [64, 64],
  [65, 130],
  [128, 24],
  [256, 256],
];

export const FLOW_CASES: readonly FlowCase[] = [
  ...DIMS.flatMap(([headDim, valueDim]) => [
    define(`D ${headDim}, Dv ${valueDim}`, { headDim, valueDim, tokensQ: 37, tokensK: 75 }),
    causal(`causal, D ${headDim}, Dv ${valueDim}`, 75, { headDim, valueDim }),
    causal(`one causal token, D ${headDim}, Dv ${valueDim}`, 1, { headDim, valueDim }),
  ]),
  define("one sink, one source", { tokensQ: 1, tokensK: 1 }),
  define("one sink", { tokensQ: 1 }),
  define("one source", { tokensK: 1 }),
  define("many chunks", { tokensQ: 2100, tokensK: 1300, heads: 1 }),
  causal("many tiles", 700, { heads: 1, batches: 2 }),
  ...[63, 64, 65, 128].map((tokens) => causal(`causal, ${tokens} tokens`, tokens)),
  define("batches and heads", { batches: 3, heads: 5, tokensQ: 20 }),
  define("clamp 5", { options: { clamp: 5 }, tokensK: 40 }),
  causal("causal, clamp 5", 90, { options: { clamp: 5 } }),
  define("clamp 0.9", { options: { clamp: 0.9 } }),
  define("no clamp", { options: { clamp: null }, tokensK: 200 }),
  causal("causal, no clamp", 150, { options: { clamp: null } }),
  causal("one causal token, no clamp", 1, { options: { clamp: null } }),
  define("scores past the range of e^x", { ...LOUD, tokensQ: 400, tokensK: 150 }),
  causal("causal, scores past the range of e^x", 400, LOUD),
  define("clamp 200", { ...LOUD, options: { clamp: 200 }, tokensQ: 400, tokensK: 150 }),
  define("saturated low", { mean: -30, headDim: 5 }),
  causal("causal, saturated low", 80, { mean: -30, headDim: 5 }),
  define("saturated high", { mean: 30, headDim: 5 }),
  define("epsilon 0.1", { options: { epsilon: 0.1 }, headDim: 5 }),
  causal("causal, epsilon 0.1", 80, { options: { epsilon: 0.1 }, headDim: 5 }),
  causal("one causal token, epsilon 0.1", 1, { options: { epsilon: 0.1 }, headDim: 5 }),
  define("variant cv", { options: { variant: "cv" } }),
  define("variant cv, epsilon 0.5", { options: { variant: "cv", epsilon: 0.5 } }),
  define("padding", {
    batches: 5,
    tokensK: 90,
    options: { queryLengths: [70, 1, 64, 0, 30], keyLengths: [65, 90, 1, 80, 0] },
  }),
  causal("causal padding", 130, { batches: 4, options: { keyLengths: [130, 1, 0, 64] } }),
  causal("one causal token or padding", 1, { batches: 2, options: { queryLengths: [0, 1] } }),
  ...[16, 5].flatMap((dim) => {
    const half = { dtype: "f16", outDtype: "f16", headDim: dim, valueDim: dim } as const;
    return [
      define(`f16, D ${dim}`, half),
      causal(`causal f16, D ${dim}`, 75, half),
      causal(`one causal token of f16, D ${dim}`, 1, half),
      define(`f16 to f32, D ${dim}`, { ...half, outDtype: "f32" }),
      causal(`causal f32 to f16, D ${dim}`, 75, { ...half, dtype: "f32" }),
    ];
  }),
];

export function shapesOf(problem: FlowCase): { q: Shape4; k: Shape4; v: Shape4; out: Shape4 } {
  const { batches, tokensQ, tokensK, heads, headDim, valueDim } = problem;
  return {
    q: [batches, tokensQ, heads, headDim],
    k: [batches, tokensK, heads, headDim],
    v: [batches, tokensK, heads, valueDim],
    out: [batches, tokensQ, heads, valueDim],
  };
}
