import type { ByteSource } from "../sources/byte-source.js";

/** Types of values in files that can be loaded: safetensors' names, and GGUF's of quantised blocks. */
export type StoredType = "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0" | "Q4_K" | "Q6_K";

/** A tensor in a file. */
export interface StoredTensor {
  readonly name: string;
  /** As the file names it; only a tensor that is used has to be of a `StoredType`. */
  readonly dtype: string;
  /** Outermost axis first. */
  readonly shape: readonly number[];
  /** Its bytes in the file. */
  readonly begin: number;
  readonly end: number;
}

/** A file of weights whose header has been read and checked. */
export interface WeightFile {
  readonly source: ByteSource;
  readonly tensors: readonly StoredTensor[];
}

interface Blocks {
  /** Values that are stored together. */
  readonly values: number;
  readonly bytes: number;
}

/** How many bytes hold how many values, in a row. */
export const STORED_BLOCKS: Readonly<Record<StoredType, Blocks>> = {
  F32: { values: 1, bytes: 4 },
  F16: { values: 1, bytes: 2 },
  BF16: { values: 1, bytes: 2 },
  // A half as scale, then bytes.
  Q8_0: { values: 32, bytes: 34 },
  // A half as scale, then nibbles.
  Q4_0: { values: 32, bytes: 18 },
  // Two halves, 12 bytes of scales and offsets, then nibbles.
  Q4_K: { values: 256, bytes: 144 },
  // Low nibbles, high pairs of bits, 16 scales, a half.
  Q6_K: { values: 256, bytes: 210 },
};

export function isStoredType(dtype: string): dtype is StoredType {
  return Object.hasOwn(STORED_BLOCKS, dtype);
}
