import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { RotaryOptions } from "./options.js";

/** A problem that tests, benchmarks and pages all read. Sizes and choices, not data: `case-inputs.ts` makes that. */
export interface SoftmaxCase {
  readonly name: string;
  readonly batches: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** Storage of q and out, and of k and v. */
  readonly dtype: "f32" | "f16";
  readonly kvDtype: "f32" | "f16";
  readonly options: CaseOptions;
}

/** As in `SoftmaxOptions`, with `true` or a pattern where data has to be made. */
export interface CaseOptions {
  readonly causal?: boolean;
  readonly queryOffset?: number | "end";
  readonly window?: { readonly left?: number; readonly right?: number };
  readonly scale?: number;
  readonly softcap?: number;
  readonly alibiSlopes?: boolean;
  /** Which of the axes [batch, heads, queries, keys] the bias has; the others are broadcast. */
  readonly bias?: readonly [boolean, boolean, boolean, boolean];
  readonly keyStarts?: readonly number[];
  readonly keyLengths?: readonly number[];
  /** `random`: half of the keys; `blocks`: runs of 40 hidden and 24 visible keys; `none`: all hidden for batch entry 0. */
  readonly keyMask?: "random" | "blocks" | "none";
  readonly sinkLogits?: boolean;
  readonly rope?: RotaryOptions;
}

/** Largest error of f32 storage, relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;

/** The same for f16 storage, against the reference on rounded inputs: half a unit of the eleventh bit, and a little. */
export const TOLERANCE_F16 = 2e-3;

const base: Omit<SoftmaxCase, "name"> = {
  batches: 1,
  tokensQ: 33,
  tokensK: 33,
  heads: 2,
  kvHeads: 2,
  headDim: 32,
  valueDim: 32,
  dtype: "f32",
  kvDtype: "f32",
  options: {},
};

function define(name: string, changes: Partial<typeof base>): SoftmaxCase {
  return { ...base, ...changes, name };
}

/** Every head dimension has its own register and remainder layout; these are the ones at the edges and in the field. */
const HEAD_DIMS = [1, 2, 3, 4, 5, 15, 16, 17, 40, 63, 64, 65, 72, 80, 96, 127, 128, 129, 160, 192, 255, 256];

/** Every option by itself. */
export const SINGLE_OPTIONS: Readonly<Record<string, CaseOptions>> = {
  causal: { causal: true },
  offset: { queryOffset: 3, window: { right: 6 } },
  "left window": { window: { left: 5 } },
  "both windows": { window: { left: 9, right: 4 } },
  scale: { scale: 0.3 },
  softcap: { softcap: 2 },
  ALiBi: { alibiSlopes: true },
  bias: { bias: [true, true, true, true] },
  "broadcast bias": { bias: [false, true, false, true] },
  starts: { keyStarts: [3, 0] },
  lengths: { keyLengths: [29, 40] },
  "key mask": { keyMask: "random" },
  "block mask": { keyMask: "blocks" },
  sinks: { sinkLogits: true },
  rope: { rope: {} },
};

/**
 * Each option alone, and sets of options in which every two of them meet: set n holds the options whose number has bit n,
 * and those whose number has not (a binary code separates, hence joins, any two), and one set holds all.
 */
function optionCases(): SoftmaxCase[] {
  const options = Object.entries(SINGLE_OPTIONS);
  const sizes = { batches: 2, heads: 4, headDim: 8, valueDim: 12 };
  const sets: [string, CaseOptions][] = [...options];
  const join = (name: string, chosen: typeof options) =>
    sets.push([name, Object.assign({}, ...chosen.map(([, option]) => option)) as CaseOptions]);
  for (let bit = 0; 2 ** bit < options.length; bit++) {
    for (const value of [0, 1]) {
      join(
        `options with bit ${bit} = ${value}`,
        options.filter((_, index) => ((index >> bit) & 1) === value),
      );
    }
  }
  join("all options", options);
  return sets.flatMap(([name, set]) => [
    define(`${name}, tiled`, { ...sizes, tokensQ: 21, tokensK: 45, options: set }),
    define(`${name}, split`, { ...sizes, tokensQ: 3, tokensK: 90, options: set }),
  ]);
}

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
  ...[15, 40, 64, 256].flatMap((dim) =>
    (["f16 f16", "f32 f16", "f16 f32"] as const).flatMap((types) => {
      const [dtype, kvDtype] = types.split(" ") as ["f16", "f32"];
      const sizes = { headDim: dim, valueDim: dim, dtype, kvDtype, heads: 4 };
      return [
        define(`${types}, head dim ${dim}`, {
          ...sizes,
          tokensQ: 19,
          tokensK: 37,
          options: { causal: true },
        }),
        define(`${types}, decode, head dim ${dim}`, { ...sizes, tokensQ: 1, tokensK: 300 }),
      ];
    }),
  ),
  define("f16, odd sizes", {
    headDim: 5,
    valueDim: 3,
    tokensQ: 11,
    tokensK: 13,
    dtype: "f16",
    kvDtype: "f16",
  }),
  define("every key masked", { batches: 2, options: { keyMask: "none" } }),
  define("every key masked, with sinks", { batches: 2, options: { keyMask: "none", sinkLogits: true } }),
  define("every key masked, decode", {
    batches: 2,
    tokensQ: 2,
    tokensK: 100,
    options: { keyMask: "none", sinkLogits: true },
  }),
  define("window of one", { tokensQ: 40, tokensK: 40, options: { window: { left: 0, right: 0 } } }),
  define("causal window 16", {
    tokensQ: 70,
    tokensK: 70,
    heads: 4,
    options: { causal: true, window: { left: 15 } },
  }),
  define("window far from the keys", {
    tokensQ: 12,
    tokensK: 12,
    options: { queryOffset: 40, window: { left: 5 } },
  }),
  define("rope of some channels", { headDim: 24, options: { causal: true, rope: { dim: 10, theta: 500 } } }),
  define("rope, interleaved", { headDim: 15, options: { rope: { dim: 14, interleaved: true } } }),
  define("rope, interleaved decode", {
    headDim: 64,
    tokensQ: 1,
    tokensK: 130,
    options: { rope: { interleaved: true } },
  }),
  define("rope with given frequencies", {
    headDim: 8,
    options: { rope: { frequencies: [1, 0.5, 0.01, 0] } },
  }),
  define("rope far out", { headDim: 16, tokensQ: 9, options: { queryOffset: 100_000, rope: {} } }),
  define('rope, "end" aligned', {
    batches: 2,
    tokensQ: 3,
    tokensK: 80,
    options: { causal: true, queryOffset: "end", keyLengths: [80, 17], rope: {} },
  }),
  ...optionCases(),
  define("long decode", { tokensQ: 1, tokensK: 5000, heads: 1, kvHeads: 1, headDim: 64, valueDim: 64 }),
  // A tile of 64 keys that begins in one word of the mask and ends in a word that hides all of its keys.
  define("key mask over two words", {
    tokensQ: 3,
    tokensK: 96,
    options: { keyStarts: [33], keyMask: "blocks" },
  }),
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
