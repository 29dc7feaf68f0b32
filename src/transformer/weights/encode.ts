import { AttentionError } from "webgpu-attention";
import type { WeightDType } from "webgpu-attention/layers";
import { floatToHalf, halfToFloat } from "./half.js";

/** Rows of a matrix as a part holds them: values, and for q8 and q4 a word of scales for each 32 columns. */
export interface EncodedRows {
  readonly values: Uint32Array<ArrayBuffer>;
  readonly scales: Uint32Array<ArrayBuffer>;
}

/** Words of `rows` rows of `columns` (padded) columns, all zero. */
export function emptyRows(dtype: WeightDType, rows: number, columns: number): EncodedRows {
  const bits = { f32: 32, f16: 16, q8: 8, q4: 4 }[dtype];
  const hasScales = dtype === "q8" || dtype === "q4";
  return {
    values: new Uint32Array((rows * columns * bits) / 32),
    scales: new Uint32Array(hasScales ? (rows * columns) / 32 : 0),
  };
}

/**
 * Rounds rows of f32 to a type of weights.
 *
 * - f16: to nearest; what exceeds 65504 is refused rather than made infinite
 * - q8: for each 16 columns the scale is their largest size / 127, as a half
 * - q4: for each 32 columns 16 levels from their least to their largest value, as halves
 *
 * @param columns of a row in memory: a multiple of 32
 * @param used how many of them are the matrix's; the others are zeros, and do not count among the values of their group
 * @throws AttentionError "dtype" for weights that halves cannot hold
 */
export function encodeRows(
  name: string,
  dtype: WeightDType,
  rows: Float32Array<ArrayBuffer>,
  columns: number,
  used: number,
): EncodedRows {
  const encoded = emptyRows(dtype, rows.length / columns, columns);
  switch (dtype) {
    case "f32":
      return { ...encoded, values: new Uint32Array(rows.buffer, rows.byteOffset, rows.length) };
    case "f16":
      encodeF16(name, rows, encoded.values);
      return encoded;
    case "q8":
      encodeQ8(name, rows, encoded);
      return encoded;
    case "q4":
      encodeQ4(name, rows, encoded, columns, used);
      return encoded;
  }
}

function encodeF16(name: string, rows: Float32Array, values: Uint32Array): void {
  for (let word = 0; word < values.length; word++) {
    values[word] = finiteHalf(name, rows[2 * word]!) | (finiteHalf(name, rows[2 * word + 1]!) << 16);
  }
}

function encodeQ8(name: string, rows: Float32Array, { values, scales }: EncodedRows): void {
  for (let group = 0; group < rows.length / 16; group++) {
    const from = 16 * group;
    let largest = 0;
    for (let i = 0; i < 16; i++) largest = Math.max(largest, Math.abs(rows[from + i]!));
    const half = finiteHalf(name, largest / 127);
    const scale = halfToFloat(half);
    scales[group >> 1]! |= half << (16 * (group & 1));
    if (scale === 0) continue;
    for (let i = 0; i < 16; i++) {
      const level = Math.min(Math.max(Math.round(rows[from + i]! / scale), -127), 127);
      values[(from + i) >> 2]! |= (level & 255) << (8 * (i & 3));
    }
  }
}

function encodeQ4(
  name: string,
  rows: Float32Array,
  { values, scales }: EncodedRows,
  columns: number,
  used: number,
): void {
  for (let group = 0; group < rows.length / 32; group++) {
    const from = 32 * group;
    const count = Math.min(32, used - (from % columns));
    let least = rows[from]!;
    let largest = least;
    for (let i = 1; i < count; i++) {
      least = Math.min(least, rows[from + i]!);
      largest = Math.max(largest, rows[from + i]!);
    }
    const half = finiteHalf(name, (largest - least) / 15);
    const offset = finiteHalf(name, least);
    scales[group] = half | (offset << 16);
    const scale = halfToFloat(half);
    if (scale === 0) continue;
    const origin = halfToFloat(offset);
    for (let i = 0; i < 32; i++) {
      const level = Math.min(Math.max(Math.round((rows[from + i]! - origin) / scale), 0), 15);
      values[(from + i) >> 3]! |= level << (4 * (i & 7));
    }
  }
}

/** A half of the value: NaN and infinite weights are refused with those that are too large. */
export function finiteHalf(name: string, value: number): number {
  const half = floatToHalf(value);
  if ((half & 0x7c00) !== 0x7c00) return half;
  throw new AttentionError("dtype", {
    subject: name,
    expected: "finite values of at most 65504, which halves can hold",
    got: String(value),
    fix: 'Load it with dtype "f32", or check that the file is not damaged.',
  });
}
