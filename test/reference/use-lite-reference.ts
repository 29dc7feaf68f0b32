import type { TfjsTensor } from "../../src/transformer/tfjs-weights.js";

/** Weights as `readTfjsWeights` gives them. */
export type UseLiteWeights = ReadonlyMap<string, TfjsTensor>;

/** One row per token. */
type Rows = Float64Array[];

const MAX_TOKENS = 128;
const HEADS = 4;
const EPSILON = 1e-6;

const FOLDED = "module_apply_default/Encoder_en/KonaTransformer";
const VARIABLES = "module/Encoder_en/KonaTransformer";

/**
 * Universal Sentence Encoder Lite in float64, step by step after the graph in its `model.json`. Nothing is shared with
 * the shipped model, so that each can convict the other.
 *
 * Id 0 (unknown) is a token like any other: the graph pads with -1, and here one sentence needs no padding.
 *
 * @param ids token ids; those after the 128th are ignored, as in the graph. None gives what an empty sentence gets inside a batch.
 * @returns the sentence embedding of length 1. [512]
 */
export function useLiteReference(weights: UseLiteWeights, ids: readonly number[]): Float64Array {
  let x = embed(weights, ids.slice(0, MAX_TOKENS));
  for (const layer of [0, 1]) {
    // Layer 0 widens 256 to 512: its residual takes the layer's input, before the norm, through a dense layer of its own.
    const shortcut = layer === 0 ? dense(x, weights, widen("kernel"), widen("bias")) : x;
    x = add(shortcut, selfAttention(weights, layer, normalize(x, weights, layer, "layer_prepostprocess")));
    x = add(x, feedForward(weights, layer, normalize(x, weights, layer, "FFN/layer_prepostprocess")));
  }
  const head = "module/Encoder_en/hidden_layers/tanh_layer_0";
  const [pooled] = dense([meanRow(x, 512)], weights, `${head}/weights`, `${head}/bias`);
  const squashed = pooled!.map(Math.tanh);
  const length = Math.sqrt(Math.max(dot(squashed, squashed), 1e-12));
  return squashed.map((value) => value / length);
}

const widen = (part: string) =>
  `${FOLDED}/Encode/Layer_0/TransformerLayer/dense/${part}/ConcatPartitions/concat`;

/** Twice the embedding plus [sin(p f), cos(p f)] for position p and the 128 stored frequencies f. [tokens, 256] */
function embed(weights: UseLiteWeights, ids: readonly number[]): Rows {
  const table = tensor(weights, "module/Embeddings_en");
  const frequencies = tensor(
    weights,
    `${FOLDED}/Encode/TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`,
  );
  return ids.map((id, position) =>
    Float64Array.from({ length: 256 }, (_, channel) => {
      const angle = position * frequencies[channel % 128]!;
      return 2 * table[id * 256 + channel]! + (channel < 128 ? Math.sin(angle) : Math.cos(angle));
    }),
  );
}

function normalize(x: Rows, weights: UseLiteWeights, layer: number, block: string): Rows {
  const base = `${FOLDED}/Encode/Layer_${layer}/TransformerLayer/${block}/layer_norm`;
  const scale = tensor(weights, `${base}/layer_norm_scale/ConcatPartitions/concat`);
  const bias = tensor(weights, `${base}/layer_norm_bias/ConcatPartitions/concat`);
  return x.map((row) => {
    const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
    return row.map((value, i) => ((value - mean) / Math.sqrt(variance + EPSILON)) * scale[i]! + bias[i]!);
  });
}

function selfAttention(weights: UseLiteWeights, layer: number, x: Rows): Rows {
  const part = `Layer_${layer}/TransformerLayer/MultiheadAttention`;
  const project = (rows: Rows, name: string) =>
    dense(
      rows,
      weights,
      `${VARIABLES}/Encode/${part}/${name}/kernel/part_0`,
      `${FOLDED}/Encode/${part}/${name}/bias/ConcatPartitions/concat`,
    );
  const qkv = project(x, "qkv_transform_single");
  const width = layer === 0 ? 256 : 512;
  const headDim = width / HEADS;
  const head = (row: Float64Array, which: number, h: number) =>
    row.subarray(which * width + h * headDim, which * width + (h + 1) * headDim);

  const out = x.map(() => new Float64Array(width));
  for (let h = 0; h < HEADS; h++) {
    for (const [i, row] of qkv.entries()) {
      const scores = qkv.map((other) => dot(head(row, 0, h), head(other, 1, h)) / Math.sqrt(headDim));
      const max = Math.max(...scores);
      const terms = scores.map((score) => Math.exp(score - max));
      const sum = terms.reduce((a, b) => a + b, 0);
      for (const [j, other] of qkv.entries()) {
        const value = head(other, 2, h);
        for (let d = 0; d < headDim; d++) out[i]![h * headDim + d]! += (terms[j]! / sum) * value[d]!;
      }
    }
  }
  return project(out, "output_transform_single");
}

function feedForward(weights: UseLiteWeights, layer: number, x: Rows): Rows {
  const part = `Layer_${layer}/TransformerLayer/FFN`;
  const kernel = (name: string) => `${FOLDED}/Encode/TransformerStack/${part}/${name}/Tensordot/Reshape_1`;
  const bias = (name: string) => `${FOLDED}/Encode/${part}/${name}/bias/ConcatPartitions/concat`;
  const hidden = dense(x, weights, kernel("conv1"), bias("conv1")).map((row) =>
    row.map((v) => Math.max(v, 0)),
  );
  return dense(hidden, weights, kernel("conv2"), bias("conv2"));
}

/** x W + b with W [in, out], row-major; leading sizes of 1 do not matter. */
function dense(x: Rows, weights: UseLiteWeights, kernelName: string, biasName: string): Rows {
  const kernel = tensor(weights, kernelName);
  const bias = tensor(weights, biasName);
  const outputs = bias.length;
  return x.map((row) => {
    const out = Float64Array.from(bias);
    for (let i = 0; i < row.length; i++) {
      const value = row[i]!;
      for (let o = 0; o < outputs; o++) out[o]! += value * kernel[i * outputs + o]!;
    }
    return out;
  });
}

function add(a: Rows, b: Rows): Rows {
  return a.map((row, i) => row.map((value, channel) => value + b[i]![channel]!));
}

function meanRow(x: Rows, width: number): Float64Array {
  const mean = new Float64Array(width);
  for (const row of x) for (let i = 0; i < width; i++) mean[i]! += row[i]! / x.length;
  return mean;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function tensor(weights: UseLiteWeights, name: string): Float32Array | Int32Array {
  const found = weights.get(name);
  if (found === undefined) throw new Error(`the model has no weight ${name}`);
  return found.data;
}
