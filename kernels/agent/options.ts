import type { TensorLayout } from "../../src/dispatch/tensor-view.js";

/** Rows and columns of an image of tokens, in row-major order. */
export type Grid = readonly [rows: number, columns: number];

/** How agents are pooled from queries: adaptive average pooling, whose bins overlap where sizes do not divide. */
export interface PoolOptions {
  /** The queries as an image, without the class token. */
  readonly grid: Grid;
  /** Bins along each axis; a number n is [n, n]. The agents are its places in row-major order. */
  readonly pool: Grid | number;
  /** Whether token 0 is a class token, which takes no part. Default false. */
  readonly classToken?: boolean;
}

/**
 * Cuts images into windows, each of which attends by itself with agents of its own: the stripes of CSWin. q, k, v and out stay
 * whole images [B, rows · columns, H, D]; agents, and biases that differ, have an entry a window, images first, then windows in
 * row-major order, and tokens in row-major order within their window.
 */
export interface WindowOptions {
  readonly image: Grid;
  /** Rows and columns of a window; they divide those of the image. */
  readonly size: Grid;
}

/** The depthwise 3 x 3 convolution of V, seen as an image of all heads' channels side by side, that is added to the output. */
export interface DepthwiseOptions<Tensor extends TensorLayout = TensorLayout> {
  /** [1, 9, H, Dv] f32: taps in row-major order. PyTorch's [H · Dv, 1, 3, 3] is this with strides [0, 1, 9 · Dv, 9]. */
  readonly weight: Tensor;
  /** [1, 1, H, Dv] f32. Default none. */
  readonly bias?: Tensor;
  /** The queries as an image, without the class token. Beyond it the convolution sees zeros. */
  readonly grid: Grid;
  /** The keys as an image. Where it is another than `grid`, V is brought to that by bilinear interpolation. Default `grid`. */
  readonly keyGrid?: Grid;
  /** Whether token 0 of queries and keys is a class token, which the convolution neither sees nor reaches. Default false. */
  readonly classToken?: boolean;
}

/** Options of agent attention; the defaults are those of the plain form. */
export interface AgentOptions<Tensor extends TensorLayout = TensorLayout> {
  /** Factor of A · k. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Factor of q · A. Default `scale`. */
  readonly secondScale?: number;
  /** [1 or B, 1 or H, 1 or n, 1 or M] f32: added to the scores of agents and keys; -infinity masks. Default none. */
  readonly agentBias?: Tensor;
  /** [1 or B, 1 or H, 1 or N, 1 or n] f32: added to the scores of queries and agents; -infinity masks. Default none. */
  readonly queryBias?: Tensor;
  /** Default none. */
  readonly depthwise?: DepthwiseOptions<Tensor>;
  /** out_i += shortcut · v_i, for as many keys as queries. Default none. */
  readonly shortcut?: number;
  /** Default none: each batch entry is one image. */
  readonly windows?: WindowOptions;
  /** Agents see all keys, so there is no causal form: `true` is refused. */
  readonly causal?: false;
}

export const OPTION_NAMES = [
  "scale",
  "secondScale",
  "agentBias",
  "queryBias",
  "depthwise",
  "shortcut",
  "windows",
  "causal",
] as const satisfies readonly (keyof AgentOptions)[];

export const POOL_NAMES = ["grid", "pool", "classToken"] as const satisfies readonly (keyof PoolOptions)[];
