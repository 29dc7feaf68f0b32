/**
 * [frequencies, 2] words: each frequency's turns of a token modulo one, in 2^-32, and what rounding left out, in turns, as f32 bits.
 *
 * @param frequencies radians a token; negative ones turn the other way round
 */
export function turnSteps(frequencies: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  const steps = new Uint32Array(2 * frequencies.length);
  const rests = new Float32Array(steps.buffer);
  for (let c = 0; c < frequencies.length; c++) {
    const turns = (frequencies[c]! / (2 * Math.PI)) * 2 ** 32;
    steps[2 * c] = Math.round(turns) % 2 ** 32;
    rests[2 * c + 1] = (turns - Math.round(turns)) / 2 ** 32;
  }
  return steps;
}
