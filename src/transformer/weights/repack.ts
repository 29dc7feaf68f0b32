import type { WeightDType } from "webgpu-attention/layers";
import { groupOfQ4K, halfAt, levelOfQ6K, scaleOfQ6K } from "./decode.js";
import { type EncodedRows, emptyRows, finiteHalf } from "./encode.js";
import { halfToFloat } from "./half.js";
import type { StoredType } from "./stored-tensor.js";

/** The type of weights that holds a stored type's values, exactly but for what `repack` says. */
export const KEPT_AS: Readonly<Record<StoredType, WeightDType>> = {
  F32: "f32",
  F16: "f16",
  // Exact from 2^-17 on, below that to the next multiple of 2^-24; larger numbers than halves have are refused.
  BF16: "f16",
  Q8_0: "q8",
  Q6_K: "q8",
  Q4_0: "q4",
  Q4_K: "q4",
};

/**
 * Rows of quantised blocks as weights of the type that holds them, value by value: Q8_0 and Q4_0 exactly; of Q4_K and Q6_K the
 * products of a block's and a group's scale are rounded to halves.
 *
 * @param columns of the rows: whole blocks, since a file stores no others
 */
export function repack(
  name: string,
  dtype: "Q8_0" | "Q4_0" | "Q4_K" | "Q6_K",
  bytes: Uint8Array,
  rows: number,
  columns: number,
): EncodedRows {
  const encoded = emptyRows(KEPT_AS[dtype], rows, columns);
  PACKERS[dtype](name, bytes, encoded);
  return encoded;
}

type Packer = (name: string, bytes: Uint8Array, encoded: EncodedRows) => void;

const PACKERS: Readonly<Record<"Q8_0" | "Q4_0" | "Q4_K" | "Q6_K", Packer>> = {
  Q8_0(name, bytes, { values, scales }) {
    for (let block = 0; block < scales.length; block++) {
      const from = 34 * block;
      const scale = checkedHalf(name, halfAt(bytes, from));
      scales[block] = scale | (scale << 16);
      for (let word = 0; word < 8; word++) {
        const at = from + 2 + 4 * word;
        values[8 * block + word] = halfAt(bytes, at) | (halfAt(bytes, at + 2) << 16);
      }
    }
  },
  Q4_0(name, bytes, { values, scales }) {
    for (let block = 0; block < scales.length; block++) {
      const from = 18 * block;
      const scale = checkedHalf(name, halfAt(bytes, from));
      scales[block] = scale | (finiteHalf(name, -8 * halfToFloat(scale)) << 16);
      for (let i = 0; i < 32; i++) {
        const pair = bytes[from + 2 + (i & 15)]!;
        values[4 * block + (i >> 3)]! |= (i < 16 ? pair & 15 : pair >> 4) << (4 * (i & 7));
      }
    }
  },
  Q4_K(name, bytes, { values, scales }) {
    for (let group = 0; group < scales.length; group++) {
      const block = 144 * (group >> 3);
      const [d, least] = [halfToFloat(halfAt(bytes, block)), halfToFloat(halfAt(bytes, block + 2))];
      const { scale, offset } = groupOfQ4K(bytes, block, group & 7);
      scales[group] = finiteHalf(name, d * scale) | (finiteHalf(name, -least * offset) << 16);
      const nibbles = block + 16 + 32 * ((group & 7) >> 1);
      const shift = 4 * (group & 1);
      for (let i = 0; i < 32; i++) {
        values[4 * group + (i >> 3)]! |= ((bytes[nibbles + i]! >> shift) & 15) << (4 * (i & 7));
      }
    }
  },
  Q6_K(name, bytes, { values, scales }) {
    for (let group = 0; group < 2 * scales.length; group++) {
      const block = 210 * (group >> 4);
      const first = 16 * (group & 15);
      const scale = halfToFloat(halfAt(bytes, block + 208)) * scaleOfQ6K(bytes, block, first);
      scales[group >> 1]! |= finiteHalf(name, scale) << (16 * (group & 1));
      for (let i = 0; i < 16; i++) {
        const level = levelOfQ6K(bytes, block, first + i);
        values[4 * group + (i >> 2)]! |= (level & 255) << (8 * (i & 3));
      }
    }
  },
};

function checkedHalf(name: string, half: number): number {
  return finiteHalf(name, halfToFloat(half));
}
