import type { DType } from "../../src/dispatch/tensor-view.js";
import type { FeatureMap } from "./options.js";

/** A problem by its sizes and options; inputs are random. Test, benchmark and demo all read these. */
export interface LinearCase {
  readonly name: string;
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly dtype: Extract<DType, "f32" | "f16">;
  readonly outDtype?: Extract<DType, "f32" | "f16">;
  readonly causal?: boolean;
  /** Rates that the heads take in turn. */
  readonly decay?: readonly number[];
  readonly scale?: number;
  readonly featureMap?: FeatureMap;
  readonly normalize?: boolean;
  readonly state?: boolean;
}

/** Relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;
export const TOLERANCE_F16 = 2e-3;

const plain = { batches: 1, tokens: 100, heads: 2, headDim: 16, valueDim: 16, dtype: "f32" } as const;

export const LINEAR_CASES: readonly LinearCase[] = [
  { ...plain, name: "plain" },
  { ...plain, name: "one whole block", tokens: 64, headDim: 64, valueDim: 64, heads: 1 },
  { ...plain, name: "a block and a row", tokens: 65 },
  {
    ...plain,
    name: "many blocks, batches and heads",
    batches: 2,
    tokens: 321,
    heads: 3,
    decay: [0.5, 0.01, 0],
  },
  { ...plain, name: "steep decay", tokens: 200, decay: [40, 8] },
  { ...plain, name: "decay of a last layer", tokens: 300, decay: [5e-6, 1e-8] },
  { ...plain, name: "wide values, narrow keys", headDim: 8, valueDim: 72, decay: [0.1] },
  { ...plain, name: "narrow values, wide keys", headDim: 72, valueDim: 4, decay: [0.1] },
  { ...plain, name: "odd widths", headDim: 13, valueDim: 7, decay: [0.2, 0] },
  { ...plain, name: "widths of one", headDim: 1, valueDim: 1, decay: [0.2, 0] },
  { ...plain, name: "state", state: true, decay: [0.05, 0.001] },
  { ...plain, name: "state, steep decay", tokens: 70, state: true, decay: [30, 3] },
  { ...plain, name: "scale", scale: 0.25, state: true },
  { ...plain, name: "silu", featureMap: "silu", decay: [0.1] },
  { ...plain, name: "elu+1, normalised", featureMap: "elu+1", normalize: true, scale: 0.25 },
  { ...plain, name: "relu", featureMap: "relu", decay: [0.1] },
  {
    ...plain,
    name: "normalised with decay and state, odd widths",
    headDim: 9,
    valueDim: 6,
    featureMap: "elu+1",
    normalize: true,
    state: true,
    decay: [0.1, 0],
  },
  { ...plain, name: "one token", tokens: 1, decay: [0.3], state: true },
  { ...plain, name: "one token without state", tokens: 1 },
  {
    ...plain,
    name: "sixteen tokens, normalised",
    tokens: 16,
    featureMap: "elu+1",
    normalize: true,
    state: true,
  },
  { ...plain, name: "seventeen tokens", tokens: 17, decay: [0.3], state: true, valueDim: 40 },
  {
    ...plain,
    name: "seven tokens, odd widths",
    tokens: 7,
    headDim: 5,
    valueDim: 11,
    decay: [0.3],
    state: true,
  },
  { ...plain, name: "all to all", causal: false, tokens: 150 },
  {
    ...plain,
    name: "all to all, normalised, odd widths",
    causal: false,
    featureMap: "elu+1",
    normalize: true,
    headDim: 11,
    valueDim: 5,
  },
  { ...plain, name: "all to all, one token", causal: false, tokens: 1 },
  { ...plain, name: "f16", dtype: "f16", decay: [0.1], featureMap: "silu" },
  { ...plain, name: "f16, odd widths", dtype: "f16", headDim: 9, valueDim: 7, decay: [0.1] },
  { ...plain, name: "f16 in, f32 out", dtype: "f16", outDtype: "f32", decay: [0.1] },
  { ...plain, name: "f32 in, f16 out", outDtype: "f16", decay: [0.5] },
  { ...plain, name: "f16, few tokens", dtype: "f16", tokens: 3, valueDim: 6, decay: [0.1], state: true },
];
