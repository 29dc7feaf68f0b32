import { halfTable, halfToFloat } from "./half.js";
import type { StoredType } from "./stored-tensor.js";

/** Reads little-endian halves at even and odd places alike. */
export function halfAt(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8);
}

/** Values of stored blocks, as f32. `out` is as long as the blocks have values. */
export function decode(dtype: StoredType, bytes: Uint8Array, out: Float32Array): void {
  switch (dtype) {
    case "F32":
      out.set(new Float32Array(alignedBuffer(bytes), 0, out.length));
      return;
    case "F16": {
      const halves = new Uint16Array(alignedBuffer(bytes), 0, out.length);
      const values = halfTable();
      for (let i = 0; i < out.length; i++) out[i] = values[halves[i]!]!;
      return;
    }
    case "BF16": {
      // bfloat16 is the upper half of a float.
      const halves = new Uint16Array(alignedBuffer(bytes), 0, out.length);
      const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
      for (let i = 0; i < out.length; i++) words[i] = halves[i]! << 16;
      return;
    }
    case "Q8_0":
      decodeQ8(bytes, out);
      return;
    case "Q4_0":
      decodeQ4(bytes, out);
      return;
    case "Q4_K":
      decodeQ4K(bytes, out);
      return;
    case "Q6_K":
      decodeQ6K(bytes, out);
      return;
  }
}

/** Files are little-endian, as is every machine that runs this; typed arrays want their values at whole places. */
function alignedBuffer(bytes: Uint8Array): ArrayBufferLike {
  return bytes.byteOffset === 0 ? bytes.buffer : bytes.slice().buffer;
}

function decodeQ8(bytes: Uint8Array, out: Float32Array): void {
  for (let from = 0, block = 0; from < out.length; from += 32, block += 34) {
    const scale = halfToFloat(halfAt(bytes, block));
    for (let i = 0; i < 32; i++) out[from + i] = scale * ((bytes[block + 2 + i]! << 24) >> 24);
  }
}

/** Low nibbles are the first half of the block's values, high ones the second. */
function decodeQ4(bytes: Uint8Array, out: Float32Array): void {
  for (let from = 0, block = 0; from < out.length; from += 32, block += 18) {
    const scale = halfToFloat(halfAt(bytes, block));
    for (let i = 0; i < 16; i++) {
      const pair = bytes[block + 2 + i]!;
      out[from + i] = scale * ((pair & 15) - 8);
      out[from + 16 + i] = scale * ((pair >> 4) - 8);
    }
  }
}

/** The 6-bit scale and offset of group j of 32 values: the last four groups' upper bits stand above the first four's. */
export function groupOfQ4K(bytes: Uint8Array, block: number, j: number): { scale: number; offset: number } {
  const at = (index: number) => bytes[block + 4 + index]!;
  if (j < 4) return { scale: at(j) & 63, offset: at(j + 4) & 63 };
  return {
    scale: (at(j + 4) & 15) | ((at(j - 4) >> 6) << 4),
    offset: (at(j + 4) >> 4) | ((at(j) >> 6) << 4),
  };
}

/** Groups 2 g and 2 g + 1 are the low and high nibbles of 32 bytes. */
function decodeQ4K(bytes: Uint8Array, out: Float32Array): void {
  for (let from = 0, block = 0; from < out.length; from += 256, block += 144) {
    const scale = halfToFloat(halfAt(bytes, block));
    const least = halfToFloat(halfAt(bytes, block + 2));
    for (let j = 0; j < 8; j++) {
      const group = groupOfQ4K(bytes, block, j);
      const nibbles = block + 16 + 32 * (j >> 1);
      const shift = 4 * (j & 1);
      for (let i = 0; i < 32; i++) {
        const level = (bytes[nibbles + i]! >> shift) & 15;
        out[from + 32 * j + i] = scale * group.scale * level - least * group.offset;
      }
    }
  }
}

/** The level of value i (0 to 255) of a block, -32 to 31. */
export function levelOfQ6K(bytes: Uint8Array, block: number, i: number): number {
  // Two halves of 128 values; a quarter of each takes nibbles of 64 bytes and pairs of bits of 32 bytes.
  const half = i >> 7;
  const quarter = (i >> 5) & 3;
  const place = i & 31;
  const low = bytes[block + 64 * half + 32 * (quarter & 1) + place]!;
  const high = bytes[block + 128 + 32 * half + place]!;
  const nibble = quarter < 2 ? low & 15 : low >> 4;
  return (nibble | (((high >> (2 * quarter)) & 3) << 4)) - 32;
}

/** The int8 scale of the 16 values that value i is one of. */
export function scaleOfQ6K(bytes: Uint8Array, block: number, i: number): number {
  return (bytes[block + 192 + (i >> 4)]! << 24) >> 24;
}

function decodeQ6K(bytes: Uint8Array, out: Float32Array): void {
  for (let from = 0, block = 0; from < out.length; from += 256, block += 210) {
    const scale = halfToFloat(halfAt(bytes, block + 208));
    for (let i = 0; i < 256; i++) {
      out[from + i] = scale * scaleOfQ6K(bytes, block, i) * levelOfQ6K(bytes, block, i);
    }
  }
}
