import { fail } from "../../src/dispatch/check.js";

/** @throws AttentionError "shape" unless all are finite numbers */
export function checkFrequencies(frequencies: ArrayLike<number>): void {
  const wrong = Array.from(frequencies).findIndex((frequency) => !Number.isFinite(frequency));
  if (wrong < 0) return;
  fail(
    "shape",
    `frequencies[${wrong}]`,
    "a finite number of radians",
    frequencies[wrong],
    "A token turns by it.",
  );
}

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
