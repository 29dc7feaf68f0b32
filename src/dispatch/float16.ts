// IEEE 754 half precision by hand: Float16Array is newer than the oldest Node and browsers that this package runs in.

/** The number that half-precision bits stand for. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Half-precision bits of the nearest half, ties to even; infinity beyond 65504. */
export function numberToFloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  // Spacing of halves around the value: 2^-24 for subnormals, else 2^(exponent - 10).
  const exponent = Math.max(Math.floor(Math.log2(size || 2 ** -24)), -14);
  const steps = roundToEven(size / 2 ** (exponent - 10));
  // Steps run from 1024 to 2048 for normal numbers; 2048 carries into the exponent by itself.
  return sign | (steps + (exponent + 14) * 1024);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Halves of the numbers, with a zero at the end where they would not fill a whole word. */
export function float16Words(data: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(Math.ceil(data.length / 2) * 2);
  for (let i = 0; i < data.length; i++) halves[i] = numberToFloat16(data[i]!);
  return halves;
}

export function float32Words(data: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return data instanceof Float32Array ? (data as Float32Array<ArrayBuffer>) : Float32Array.from(data);
}

export function float32FromHalves(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, float16ToNumber);
}

/** Numbers as a tensor of this type gives them back: tests compare with references on what was stored. */
export function asStored(data: Float32Array<ArrayBuffer>, dtype: "f32" | "f16"): Float32Array<ArrayBuffer> {
  return dtype === "f32" ? data : data.map((value) => float16ToNumber(numberToFloat16(value)));
}
