import { randomSource } from "../../test/support/random.js";

/** Numbers between two looks at the clock. */
const CHUNK = 2 ** 15;

/** Standard normal numbers, one a call, the same in every run. */
export function normalSource(): () => number {
  const uniform = randomSource(1);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** The first `count` of these numbers, drawn without keeping the page from its user. */
export async function drawNormals(count: number, pause: () => Promise<void>): Promise<Float32Array> {
  const normal = normalSource();
  const drawn = new Float32Array(count);
  for (let from = 0; from < count; from += CHUNK) {
    const to = Math.min(count, from + CHUNK);
    for (let i = from; i < to; i++) drawn[i] = normal();
    await pause();
  }
  return drawn;
}

/** The same as the text of a program, which declares `normal`. */
export const NORMAL_SOURCE = `\
// Standard normal numbers (mulberry32, Box-Muller), the same on every machine.
let state = 1;
function uniform(): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}
function normal(): number {
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}`;
