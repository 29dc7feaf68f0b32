import type { PerBatch } from "../../src/dispatch/per-batch.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { BlockMask } from "./block-mask.js";
import type { MaskMod, ScoreMod } from "./mod-types.js";

/** Rotary position embedding (RoFormer, arXiv 2104.09864), applied to q and k as they are read. */
export interface RotaryOptions {
  /** Base of the frequencies theta^(-2n / dim). Default 10000. */
  readonly theta?: number;
  /** Channels that are rotated, from the first; even, at most D. Default D. */
  readonly dim?: number;
  /** Pairs are (2n, 2n + 1) as in the paper (GPT-J); default false: (n, n + dim / 2), as in GPT-NeoX and Llama. */
  readonly interleaved?: boolean;
  /** [dim / 2] radians per token, instead of `theta`: for scaled embeddings. */
  readonly frequencies?: ArrayLike<number>;
}

/**
 * Options of softmax attention; the defaults are those of the plain form.
 *
 * Order of the score: scale, soft cap, ALiBi, bias, `scoreMod`, masks. A row that sees no key gives zeros and lse = -infinity.
 */
export interface SoftmaxOptions {
  /** Query row i sees keys j <= its position, row index + `queryOffset`. Default false. */
  readonly causal?: boolean;
  /**
   * Position of query row 0 among the keys. Default Tk - Tq: both sequences end together. `"end"` aligns with the end of
   * each batch's own keys (`keyLengths`), found on the GPU: for a cache that grows between recordings.
   */
  readonly queryOffset?: number | "end";
  /** Keys seen before and after a query's position, itself not counted. Default all. A causal window of W is `left: W - 1`. */
  readonly window?: { readonly left?: number; readonly right?: number };
  /** Factor of q · k. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** c > 0: scores become c tanh(score / c). Default none. */
  readonly softcap?: number;
  /** [Hq] ALiBi: slope times distance is taken from the score (arXiv 2108.12409). Default none. */
  readonly alibiSlopes?: ArrayLike<number>;
  /** [1 or B, 1 or Hq, 1 or Tq, 1 or Tk] f32, added to the score; -infinity masks. Mind the order of axes. Default none. */
  readonly bias?: TensorLayout;
  /** First visible key of each batch entry (left padding). Default 0. */
  readonly keyStarts?: PerBatch;
  /** One past the last visible key of each batch entry, counted from key 0 (right padding, cache fill). Default Tk. */
  readonly keyLengths?: PerBatch;
  /**
   * [B, Tk] nonzero = visible. A buffer holds a bit a key: [B, ceil(Tk / 32)] u32, lowest bit first, COPY_SRC usage, read at
   * every `record`. Default all visible.
   */
  readonly keyMask?: ArrayLike<number | boolean> | GPUBuffer;
  /** [Hq] logits that join the denominator only, neither scaled, capped nor masked. A buffer is f32 with COPY_SRC usage. */
  readonly sinkLogits?: ArrayLike<number> | GPUBuffer;
  /** Rotates q by its position (row index + `queryOffset`) and k by its index. Default none. */
  readonly rope?: RotaryOptions;
  /** Changes each score: WGSL of the application's. Default none. */
  readonly scoreMod?: ScoreMod;
  /** Whether a query row sees a key: WGSL of the application's, beside all other masks. Default all visible. */
  readonly maskMod?: MaskMod;
  /** Only the listed blocks of keys are visited, and `maskMod` is asked in partial ones only. Default all blocks. */
  readonly blockMask?: BlockMask;
  /**
   * [B, Hq, 1 + Tq] u32, STORAGE usage: only these query rows are computed. For each head how many, then their tokens, ascending.
   * Rows of `out` and `lse` that are not listed are left as they are. Read at every run. Default all rows.
   */
  readonly queryRows?: GPUBuffer;
  /**
   * Packed sequences: q, k and v hold the tokens of all sequences behind each other, with batch size 1. [sequences + 1] offsets
   * of the query rows, ascending from 0 to at most Tq: sequence s has rows `queryOffsets[s]` up to `queryOffsets[s + 1]`. A
   * buffer is u32 with COPY_SRC usage, all of it offsets. Each sequence is aligned at its end, as by default; `b` of mods counts
   * sequences, `i` and `j` rows of the packed tensors. Needs `keyOffsets`.
   */
  readonly queryOffsets?: ArrayLike<number> | GPUBuffer;
  /** [sequences + 1] offsets of the keys, likewise. */
  readonly keyOffsets?: ArrayLike<number> | GPUBuffer;
}

/** Options that are numbers, flags and lists of them. */
export const VALUE_OPTION_NAMES = [
  "causal",
  "queryOffset",
  "window",
  "scale",
  "softcap",
  "alibiSlopes",
  "bias",
  "keyStarts",
  "keyLengths",
  "keyMask",
  "sinkLogits",
  "rope",
] as const satisfies readonly (keyof SoftmaxOptions)[];

/** All of them; the others are WGSL of the application's, or say what is computed at all. */
export const OPTION_NAMES = [
  ...VALUE_OPTION_NAMES,
  "scoreMod",
  "maskMod",
  "blockMask",
  "queryRows",
  "queryOffsets",
  "keyOffsets",
] as const satisfies readonly (keyof SoftmaxOptions)[];
