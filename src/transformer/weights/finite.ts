import { AttentionError } from "webgpu-attention";
import { halfToFloat } from "./half.js";

/** Weights that are NaN or infinite make everything NaN, and nothing would say why. */
export function notFinite(name: string, value: number): AttentionError {
  return new AttentionError("dtype", {
    subject: name,
    expected: "finite weights",
    got: String(value),
    fix: "The file is damaged, or training went wrong; take another one.",
  });
}

/** @throws AttentionError "dtype" */
export function checkFinite(name: string, values: Float32Array): void {
  for (const value of values) if (!Number.isFinite(value)) throw notFinite(name, value);
}

const FLOAT_EXPONENT = 0x7f800000;

/** Of floats by their bits. @throws AttentionError "dtype" */
export function checkFiniteFloats(name: string, words: Uint32Array<ArrayBuffer>): void {
  for (let i = 0; i < words.length; i++) {
    if ((words[i]! & FLOAT_EXPONENT) !== FLOAT_EXPONENT) continue;
    throw notFinite(name, new Float32Array(Uint32Array.of(words[i]!).buffer)[0]!);
  }
}

const HALF_EXPONENT = 0x7c00;

/**
 * Of halves by their bits, from the beginning of their buffer on. Two at a time, since whole models pass here: a full exponent and one
 * more carry into the place of the sign.
 *
 * @throws AttentionError "dtype"
 */
export function checkFiniteHalves(name: string, halves: Uint16Array<ArrayBuffer>): void {
  const pairs = new Int32Array(halves.buffer, halves.byteOffset, halves.length >> 1);
  let place = 0;
  while (place < pairs.length && !((((pairs[place]! & 0x7c007c00) + 0x04000400) | 0) & 0x80008000)) place++;
  // Either the pair that was found, or the last half of an odd number.
  for (let i = 2 * place; i < halves.length; i++) {
    if ((halves[i]! & HALF_EXPONENT) === HALF_EXPONENT) throw notFinite(name, halfToFloat(halves[i]!));
  }
}
