/** Options of SALE; the defaults are those of the authors' map-only kernel. */
export interface SaleOptions {
  /**
   * [Hq] tau, or one number for all heads: the least softmax weight, relative to the sink and local keys alone, that makes a row
   * ask for a block. Below 1e-5 a head is dense. A buffer of [Hq] f32 with COPY_SRC usage is read at every `record`.
   * `calibrateSale` finds thresholds, from 0.008 down.
   */
  readonly thresholds: number | ArrayLike<number> | GPUBuffer;
  /** Keys of a block: 16, 32 or 64. Default 32. */
  readonly blockK?: number;
  /** Tokens by which the local window grows at its front, a multiple of `blockK`. Default 128. */
  readonly segment?: number;
  /** Least number of local keys, a multiple of `blockK`, 64 or more, that a query block keeps, its own included. Default 128. */
  readonly localWindow?: number;
  /** Factor of q · k, above 0. Default 1 / sqrt(D). */
  readonly scale?: number;
}

export const OPTION_NAMES = [
  "thresholds",
  "blockK",
  "segment",
  "localWindow",
  "scale",
] as const satisfies readonly (keyof SaleOptions)[];
