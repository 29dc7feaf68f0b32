import { paddedColumns, type WeightLayout } from "webgpu-attention/layers";
import { decode } from "./decode.js";
import { type EncodedRows, emptyRows, encodeRows, finiteHalf } from "./encode.js";
import { checkFinite, checkFiniteFloats, checkFiniteHalves } from "./finite.js";
import { halfToFloat } from "./half.js";
import { KEPT_AS, repack } from "./repack.js";
import type { StoredType } from "./stored-tensor.js";

/**
 * Stored rows as a weight matrix holds them. Values that the wanted type can hold as they are stay what they are; others are
 * dequantised and rounded (`encodeRows`).
 *
 * @param bytes of whole rows, from the beginning of their buffer on
 * @throws AttentionError "dtype" for weights that are no numbers, or that halves cannot hold
 */
export function convertRows(
  name: string,
  dtype: StoredType,
  bytes: Uint8Array<ArrayBuffer>,
  rows: number,
  layout: WeightLayout,
): EncodedRows {
  const padded = paddedColumns(layout);
  const { columns } = layout;
  if (KEPT_AS[dtype] === layout.dtype) {
    switch (dtype) {
      case "F32": {
        const floats = new Uint32Array(bytes.buffer, 0, rows * columns);
        checkFiniteFloats(name, floats);
        return copied("f32", floats, rows, columns, padded);
      }
      case "F16": {
        const stored = new Uint16Array(bytes.buffer, 0, rows * columns);
        checkFiniteHalves(name, stored);
        return copied("f16", stored, rows, columns, padded);
      }
      case "BF16": {
        const halves = halvesOfBfloats(name, new Uint16Array(bytes.buffer, 0, rows * columns));
        return copied("f16", halves, rows, columns, padded);
      }
      default:
        return repack(name, dtype, bytes, rows, columns);
    }
  }
  const values = new Float32Array(rows * columns);
  decode(dtype, bytes, values);
  // What is rounded to halves is checked there.
  if (layout.dtype === "f32") checkFinite(name, values);
  return encodeRows(name, layout.dtype, widened(values, rows, columns, padded), padded, columns);
}

/** Rows with zeros behind them, bit for bit. */
function copied(
  dtype: "f32" | "f16",
  values: Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
  rows: number,
  columns: number,
  padded: number,
): EncodedRows {
  const encoded = emptyRows(dtype, columns === padded ? 0 : rows, padded);
  if (columns === padded) {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4);
    return { ...encoded, values: words };
  }
  const wide = dtype === "f32" ? encoded.values : new Uint16Array(encoded.values.buffer);
  for (let row = 0; row < rows; row++) {
    wide.set(values.subarray(row * columns, (row + 1) * columns), row * padded);
  }
  return encoded;
}

function widened(
  values: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
  padded: number,
): Float32Array<ArrayBuffer> {
  if (columns === padded) return values;
  const wide = new Float32Array(rows * padded);
  for (let row = 0; row < rows; row++) {
    wide.set(values.subarray(row * columns, (row + 1) * columns), row * padded);
  }
  return wide;
}

/** Halves by the bits of a bfloat16; 0xffff, a NaN that rounding does not make, where there is none. Made on first use. */
let halves: Uint16Array | undefined;
const NO_HALF = 0xffff;

function halvesOfBfloats(name: string, bfloats: Uint16Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  halves ??= makeHalves();
  const table = halves;
  const converted = new Uint16Array(bfloats.length + (bfloats.length & 1));
  for (let i = 0; i < bfloats.length; i++) converted[i] = table[bfloats[i]!]!;
  const refused = converted.indexOf(NO_HALF);
  if (refused >= 0) finiteHalf(name, bfloatValue(bfloats[refused]!));
  return converted.subarray(0, bfloats.length);
}

function makeHalves(): Uint16Array {
  return Uint16Array.from({ length: 0x10000 }, (_, bfloat) => {
    const value = bfloatValue(bfloat);
    return Math.abs(value) <= halfToFloat(0x7bff) ? finiteHalf("", value) : NO_HALF;
  });
}

function bfloatValue(bfloat: number): number {
  return new Float32Array(Uint32Array.of(bfloat << 16).buffer)[0]!;
}
