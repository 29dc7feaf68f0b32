/** A problem that tests read. Sizes and choices, not data. */
export interface PrefixSoftmaxCase {
  readonly name: string;
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  /** Default as many as `heads`. */
  readonly kvHeads?: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly dtype: "f32" | "f16";
  /** Default as `dtype`. */
  readonly outDtype?: "f32" | "f16";
  readonly activation?: "silu" | "identity";
  readonly scale?: number;
  readonly keyLengths?: readonly number[];
}

/** Relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;
/** Scores of some hundreds are off by some hundred times what those of one are. */
export const TOLERANCE_LARGE_SCORES = 1e-4;
export const TOLERANCE_F16 = 2e-3;

const plain = { batches: 1, tokens: 100, heads: 2, headDim: 16, valueDim: 16, dtype: "f32" } as const;

/** Widths and their remainders by the four channels of a vec4 and the eight columns of a thread. */
const DIMS = [
  [1, 1],
  [3, 5],
  [64, 64],
  [7, 130],
  [256, 256],
] as const;

export const PREFIX_CASES: readonly PrefixSoftmaxCase[] = [
  ...DIMS.map(([headDim, valueDim]) => ({
    ...plain,
    name: `D ${headDim}, Dv ${valueDim}`,
    headDim,
    valueDim,
  })),
  ...[1, 2, 31, 32, 33, 64, 65].map((tokens) => ({ ...plain, name: `${tokens} tokens`, tokens })),
  { ...plain, name: "many chunks, batches and heads", batches: 2, tokens: 1500, heads: 3, valueDim: 12 },
  { ...plain, name: "grouped heads", batches: 2, heads: 6, kvHeads: 2, tokens: 70 },
  { ...plain, name: "identity", activation: "identity" },
  { ...plain, name: "a scale", scale: 1 },
  { ...plain, name: "scores of some hundreds", scale: 60 },
  { ...plain, name: "scores of some hundreds below zero", scale: -60, tokens: 40 },
  { ...plain, name: "scores all alike", scale: 0 },
  { ...plain, name: "padding", batches: 5, tokens: 90, keyLengths: [90, 1, 0, 32, 70] },
  { ...plain, name: "f16", dtype: "f16" },
  { ...plain, name: "f16, odd widths", dtype: "f16", headDim: 5, valueDim: 7 },
  { ...plain, name: "f16 in, f32 out", dtype: "f16", outDtype: "f32" },
  { ...plain, name: "f32 in, f16 out, odd widths", outDtype: "f16", valueDim: 7 },
];
