// Half precision by hand: Float16Array is newer than the oldest Node and browsers that this package runs in.

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Values of all half-precision bits. Made on first use: 256 KiB, and far faster than computing. */
let halves: Float32Array | undefined;

/** The number of each half, by its bits. */
export function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 0x10000 }, (_, index) => decodeHalf(index));
  return halves;
}

export function halfToFloat(half: number): number {
  return halfTable()[half]!;
}

function decodeHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Bits of the nearest half, ties to even; infinity from 65520 on. */
export function floatToHalf(value: number): number {
  float[0] = value;
  return halfOfFloatBits(bits[0]!);
}

/** `floatToHalf` of a float by its bits. */
export function halfOfFloatBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const size = word & 0x7fffffff;
  if (size > 0x7f800000) return 0x7e00;
  if (size >= 0x477ff000) return sign | 0x7c00;
  // Subnormal: as many steps of 2^-24 as the value has; the float sum of it and 0.5 rounds there.
  if (size < 0x38800000) {
    bits[0] = size;
    float[0] = float[0]! + 0.5;
    return sign | (bits[0]! - 0x3f000000);
  }
  const odd = (size >>> 13) & 1;
  return sign | ((size - 0x38000000 + 0xfff + odd) >>> 13);
}
