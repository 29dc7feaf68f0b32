import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";

/** Keys of the image's tokens. */
export const IMAGE = [64, 640] as const;
/** Keys that most queries look at, whose hidden states are huge in one channel. */
const SINKS = [0, 17, 500];
const SINK_CHANNEL = 3;
/** Hidden states have the width of the heads together; a huge channel is at most its root times their root mean square. */
export const HIDDEN_SINKS = { dims: [SINK_CHANNEL], tau: 20 } as const;

/** Queries, keys and values of one layer with sinks, and the hidden states that they would have come from. */
export function layerInputs(shape: Shape4) {
  const [, tokens, heads, dim] = shape;
  const random = randomSource(1);
  const [q, k, v, hidden] = [1, 2, 3, 4].map(() => normalArray(elementCount(shape), random)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  for (let row = 0; row < tokens * heads; row++) {
    // What all queries have in common, and sinks answer to.
    q[row * dim] = 4;
    k[row * dim] = SINKS.includes(Math.floor(row / heads)) ? 12 : 0;
  }
  for (const sink of SINKS) hidden[sink * heads * dim + SINK_CHANNEL] = 1000;
  return { q, k, v, hidden };
}
