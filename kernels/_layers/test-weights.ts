import { float16ToNumber, numberToFloat16 } from "../../src/dispatch/float16.js";
import { paddedColumns, type WeightLayout, weightBytes, weightRange } from "./weight-matrix.js";

/** A part of a weight matrix as its kernels read it, and the numbers that it stands for, [rows, columns]. */
export interface EncodedWeights {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly values: Float64Array;
}

/**
 * Writes numbers in a weight type by rounding them, plainly and independently of any loader. Padding of rows holds no zeros: a
 * kernel that lets it count shows it.
 */
export function encodeWeights(data: ArrayLike<number>, layout: WeightLayout): EncodedWeights {
  const { dtype, rows, columns } = layout;
  const padded = paddedColumns(layout);
  const bytes = new Uint8Array(weightBytes(layout));
  const view = new DataView(bytes.buffer);
  const values = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    const places = weightRange(layout, rows, r, 1);
    const row = Array.from({ length: padded }, (_, c) => (c < columns ? data[r * columns + c]! : 3));
    const keep = (c: number, value: number) => {
      if (c < columns) values[r * columns + c] = value;
    };
    for (let c = 0; c < padded; c++) {
      const at = places.values.offset;
      if (dtype === "f32") {
        view.setFloat32(at + 4 * c, row[c]!, true);
        keep(c, Math.fround(row[c]!));
      } else if (dtype === "f16") {
        const half = numberToFloat16(row[c]!);
        view.setUint16(at + 2 * c, half, true);
        keep(c, float16ToNumber(half));
      } else if (dtype === "q8") {
        const group = Math.floor(c / 16);
        const peak = Math.max(...row.slice(16 * group, 16 * group + 16).map(Math.abs));
        const scale = numberToFloat16(peak / 127);
        const n = Math.max(-128, Math.min(127, Math.round(row[c]! / (float16ToNumber(scale) || 1))));
        view.setInt8(at + c, n);
        view.setUint16(places.scales.offset + 2 * group, scale, true);
        keep(c, n * float16ToNumber(scale));
      } else {
        const group = Math.floor(c / 32);
        const block = row.slice(32 * group, 32 * group + 32);
        const [low, high] = [Math.min(...block), Math.max(...block)];
        const [scale, offset] = [numberToFloat16((high - low) / 15), numberToFloat16(low)];
        const step = float16ToNumber(scale) || 1;
        const n = Math.max(0, Math.min(15, Math.round((row[c]! - float16ToNumber(offset)) / step)));
        const place = at + Math.floor(c / 2);
        view.setUint8(place, view.getUint8(place) | (n << (4 * (c % 2))));
        view.setUint16(places.scales.offset + 4 * group, scale, true);
        view.setUint16(places.scales.offset + 4 * group + 2, offset, true);
        keep(c, n * float16ToNumber(scale) + float16ToNumber(offset));
      }
    }
  }
  return { bytes, values };
}
