import { AttentionError } from "webgpu-attention";
import type { WeightDType } from "webgpu-attention/layers";
import { notFinite } from "./finite.js";
import { floatToHalf, halfOfFloatBits, halfToFloat } from "./half.js";

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
 * Scales below 2^-14 are multiples of 2^-24, so tiny weights are off by up to 2^-25 more.
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
  const floats = new Uint32Array(rows.buffer, rows.byteOffset, rows.length);
  for (let word = 0; word < values.length; word++) {
    const low = halfOfFloatBits(floats[2 * word]!);
    const high = halfOfFloatBits(floats[2 * word + 1]!);
    if ((low & INFINITE) === INFINITE) finiteHalf(name, rows[2 * word]!);
    if ((high & INFINITE) === INFINITE) finiteHalf(name, rows[2 * word + 1]!);
    values[word] = low | (high << 16);
  }
}

function encodeQ8(name: string, rows: Float32Array, { values, scales }: EncodedRows): void {
  for (let group = 0; group < rows.length / 16; group++) {
    const from = 16 * group;
    let largest = 0;
    for (let i = from; i < from + 16; i++) largest = Math.max(largest, Math.abs(rows[i]!));
    const half = scaleHalf(name, largest / 127);
    const scale = halfToFloat(half);
    scales[group >> 1]! |= half << (16 * (group & 1));
    if (scale === 0) continue;
    for (let word = from / 4; word < from / 4 + 4; word++) {
      let packed = 0;
      for (let i = 3; i >= 0; i--)
        packed = (packed << 8) | (level(rows[4 * word + i]! / scale, -127, 127) & 255);
      values[word] = packed;
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
    for (let i = from + 1; i < from + count; i++) {
      least = Math.min(least, rows[i]!);
      largest = Math.max(largest, rows[i]!);
    }
    const half = scaleHalf(name, (largest - least) / 15);
    const offset = finiteHalf(name, least);
    scales[group] = half | (offset << 16);
    const scale = halfToFloat(half);
    if (scale === 0) continue;
    const origin = halfToFloat(offset);
    for (let word = from / 8; word < from / 8 + 4; word++) {
      let packed = 0;
      for (let i = 7; i >= 0; i--)
        packed = (packed << 4) | level((rows[8 * word + i]! - origin) / scale, 0, 15);
      values[word] = packed;
    }
  }
}

/** Adding and subtracting it leaves a whole number, ties to even, several times as fast as `Math.round`. */
const ROUNDER = 1.5 * 2 ** 52;

/** The nearest level: a scale that was rounded down may ask for one too many. */
function level(steps: number, least: number, most: number): number {
  const rounded = steps + ROUNDER - ROUNDER;
  return rounded < least ? least : rounded > most ? most : rounded;
}

/**
 * A scale as a half. Subnormal ones have few steps, so the next one above is taken: levels then reach the largest value, which ones rounded
 * down would cut off by a good part of it.
 */
function scaleHalf(name: string, scale: number): number {
  const half = finiteHalf(name, scale);
  return half < LEAST_NORMAL && halfToFloat(half) < scale ? half + 1 : half;
}

/** 2^-14. */
const LEAST_NORMAL = 0x0400;

/** Exponent of halves that are infinite or no number. */
const INFINITE = 0x7c00;

/** A half of the value: NaN and infinite weights are refused with those that are too large. */
export function finiteHalf(name: string, value: number): number {
  const half = floatToHalf(value);
  if ((half & INFINITE) !== INFINITE) return half;
  if (!Number.isFinite(value)) throw notFinite(name, value);
  throw new AttentionError("dtype", {
    subject: name,
    expected: "values of at most 65504, which halves can hold",
    got: String(value),
    fix: 'Load it with dtype "f32".',
  });
}
