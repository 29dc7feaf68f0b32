import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { paddedColumns, WEIGHT_DTYPES, type WeightDType } from "./weight-matrix.js";

/** How the kernels of few rows share out the work. */
export interface VectorSizes {
  /** Of a workgroup; a multiple of 8. */
  readonly threads: number;
  /** Threads that share a row of weights; a power of two. */
  readonly lanes: number;
  /** Rows of weights of a thread; even. */
  readonly outputs: number;
}

/**
 * Sixteen lanes read 256 bytes of a row side by side, as many as a GPU fetches at once, and four rows of weights for each load of x.
 * Software adapters take a row to itself: nothing is exchanged there.
 */
export function vectorSizes(
  columns: number,
  dtype: WeightDType,
  rows: number,
  { software }: Capabilities,
): VectorSizes {
  // More sums than these leave the registers.
  const outputs = rows > 4 ? 2 : 4;
  if (software) return { threads: 8, lanes: 1, outputs };
  const chunks = paddedColumns({ columns }) / 4 / 2 ** WEIGHT_DTYPES.indexOf(dtype);
  return { threads: 64, lanes: Math.min(16, 2 ** Math.floor(Math.log2(chunks))), outputs };
}
