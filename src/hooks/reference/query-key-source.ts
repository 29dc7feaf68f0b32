import { randomEmbeddings } from "../query-key-source/random-embeddings.js";
import { attend, attentionMap } from "./attention-map.js";
import { type DenseTensor, headRows, setHeadRows } from "./dense-tensor.js";

/**
 * Attention whose queries and keys are projected from something else than the layer's input (arXiv 2510.11602):
 *
 * - RndEmbQK: what fixed normal embeddings become by running through the stack (`randomEmbeddings`)
 * - FixedSeqQK: what a fixed text becomes by running through the stack
 * - StaticEmbQK: the input's own embeddings
 */
export interface SourcedInputs {
  /** [B, T, 1, channels] the layer's input. */
  readonly hidden: DenseTensor;
  /** [B or 1, at least T, 1, channels] what queries and keys are projected from; of a longer sequence the beginning. */
  readonly states: DenseTensor;
  /** [heads · headDim, channels], as linear layers keep them; no bias. */
  readonly wq: ArrayLike<number>;
  readonly wk: ArrayLike<number>;
  readonly wv: ArrayLike<number>;
  readonly heads: number;
}

/** Causal attention with queries and keys from elsewhere. @returns [B, T, heads, headDim] */
export function sourcedAttention({ hidden, states, wq, wk, wv, heads }: SourcedInputs): Float64Array {
  const [batches, tokens] = hidden.shape;
  const pattern = beginning(states, batches, tokens);
  const q = projected(pattern, wq, heads);
  const k = projected(pattern, wk, heads);
  const v = projected(hidden, wv, heads);
  const out = new Float64Array(v.shape.reduce((a, b) => a * b));
  for (let b = 0; b < batches; b++) {
    for (let h = 0; h < heads; h++) {
      const map = attentionMap({ q, k, causal: true }, b, h);
      setHeadRows(out, v.shape, attend(map, headRows(v, b, h)), b, h);
    }
  }
  return out;
}

/** The first tokens, for every batch entry. */
function beginning(states: DenseTensor, batches: number, tokens: number): DenseTensor {
  const shape = [batches, tokens, 1, states.shape[3]] as const;
  const data = new Float64Array(batches * tokens * states.shape[3]);
  for (let b = 0; b < batches; b++) {
    const rows = headRows(states, states.shape[0] === 1 ? 0 : b, 0).slice(0, tokens);
    setHeadRows(data, shape, rows, b, 0);
  }
  return { data, shape };
}

function projected(states: DenseTensor, weight: ArrayLike<number>, heads: number): DenseTensor {
  const [batches, tokens, , channels] = states.shape;
  const outputs = weight.length / channels;
  const data = Float64Array.from({ length: batches * tokens * outputs }, (_, index) => {
    const [row, output] = [Math.floor(index / outputs), index % outputs];
    let sum = 0;
    for (let c = 0; c < channels; c++)
      sum += states.data[row * channels + c]! * weight[output * channels + c]!;
    return sum;
  });
  return { data, shape: [batches, tokens, heads, outputs / heads] };
}

/** @returns [1, tokens, 1, channels] */
export function embeddings(tokens: number, channels: number, seed: number, sigma?: number): DenseTensor {
  const data = randomEmbeddings({ tokens, channels, seed, ...(sigma !== undefined && { sigma }) });
  return { data, shape: [1, tokens, 1, channels] };
}
