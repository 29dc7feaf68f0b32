import { normalArray, randomSource } from "../../test/support/random.js";

/** Far from the small numbers that people choose for seeds: 2^32 over the golden ratio. */
const STRIDE = 0x9e3779b1;

/** Normal noise for each image by its seed and place: more images leave the first ones as they are. @returns [images, numbers] */
export function noiseOf(seed: number, images: number, numbers: number): Float32Array {
  const noise = new Float32Array(images * numbers);
  for (let n = 0; n < images; n++) {
    noise.set(normalArray(numbers, randomSource(seed + Math.imul(n, STRIDE))), n * numbers);
  }
  return noise;
}
