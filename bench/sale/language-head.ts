// q, k and v of the trained language model on a long text, in plain JavaScript: inputs of a benchmark, not a model runtime.
import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import { readSafetensors } from "../../test/support/safetensors.js";
import type { HeadInputs } from "./inputs.js";

/** Below the project's root. */
const MODEL = "demo/public/models/lm-softmax";
const TEXT = "demo/public/texts/moby-dick.txt";
const WIDTH = 192;
const HEADS = 8;
const KV_HEADS = 4;
const DIM = 24;
const HIDDEN = 448;
/** Tokens that the model was trained on at a time, and by which a window moves. */
const CONTEXT = 512;
const STRIDE = 256;

type Weights = ReadonlyMap<string, Float32Array>;

/**
 * One head of `lm-softmax` on a passage of Moby-Dick. The model was trained on 512 tokens: each token's channels come from a
 * window of 512 that it stands in the second half of, and positions are interpolated, i 512 / tokens, so that rotations stay
 * among those that it has seen (arXiv 2306.15595).
 *
 * @param first where the passage begins, in characters of the text
 */
export function languageHead(
  root: string,
  tokens: number,
  layer: number,
  head: number,
  first = 0,
): HeadInputs {
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(`${root}/${MODEL}/tokenizer.json`, "utf8")), {});
  const text = readFileSync(`${root}/${TEXT}`, "utf8");
  const { ids } = tokenizer.encode(text.slice(first, first + 5 * tokens));
  if (ids.length < tokens) throw new Error(`the text has ${ids.length} tokens, not ${tokens}`);
  const weights = readWeights(root);
  const kvHead = Math.floor(head / (HEADS / KV_HEADS));
  const [q, k, v] = [0, 1, 2].map(() => new Float32Array(tokens * DIM)) as [
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
  ];
  for (let start = 0; start < tokens; start += STRIDE) {
    const from = Math.max(0, start + STRIDE - CONTEXT);
    const count = Math.min(start + STRIDE, tokens) - from;
    const projected = windowOf(weights, ids.slice(from, from + count), layer);
    for (let t = start - from; t < count; t++) {
      const row = projected.subarray(t * 2 * WIDTH, (t + 1) * 2 * WIDTH);
      const place = (from + t) * DIM;
      const position = ((from + t) * CONTEXT) / tokens;
      q.set(rotated(row.subarray(head * DIM, (head + 1) * DIM), position), place);
      k.set(rotated(row.subarray(WIDTH + kvHead * DIM, WIDTH + (kvHead + 1) * DIM), position), place);
      v.set(row.subarray(WIDTH + (KV_HEADS + kvHead) * DIM, WIDTH + (KV_HEADS + kvHead + 1) * DIM), place);
    }
  }
  return { name: `lm-softmax, layer ${layer}, head ${head}`, tokens, dim: DIM, q, k, v };
}

export function readWeights(root: string): Weights {
  const { tensors } = readSafetensors(readFileSync(`${root}/${MODEL}/model.safetensors`));
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

/** q, k and v of a layer before their rotation, [tokens, 2 WIDTH]: 8 heads of q, 4 of k, 4 of v. */
export function windowOf(weights: Weights, ids: readonly number[], layer: number): Float32Array {
  const weight = (name: string) => weights.get(name)!;
  const embedding = weight("embedding.weight");
  const x = new Float32Array(ids.length * WIDTH);
  for (const [t, id] of ids.entries()) x.set(embedding.subarray(id * WIDTH, (id + 1) * WIDTH), t * WIDTH);
  for (let l = 0; ; l++) {
    const name = `blocks.${l}`;
    const qkv = linear(norm(x, weight(`${name}.norm1.weight`)), weight(`${name}.mixer.qkv.weight`), WIDTH);
    if (l === layer) return qkv;
    addTo(x, linear(attention(qkv, ids.length), weight(`${name}.mixer.out.weight`), WIDTH));
    const up = linear(norm(x, weight(`${name}.norm2.weight`)), weight(`${name}.channels.up.weight`), WIDTH);
    const gated = new Float32Array(ids.length * HIDDEN);
    for (let i = 0; i < gated.length; i++) {
      const [t, c] = [Math.floor(i / HIDDEN), i % HIDDEN];
      const gate = up[t * 2 * HIDDEN + c]!;
      gated[i] = (gate / (1 + Math.exp(-gate))) * up[t * 2 * HIDDEN + HIDDEN + c]!;
    }
    addTo(x, linear(gated, weight(`${name}.channels.down.weight`), HIDDEN));
  }
}

function attention(qkv: Float32Array, tokens: number): Float32Array {
  const out = new Float32Array(tokens * WIDTH);
  const rowsOf = (first: number, rotate: boolean) =>
    Array.from({ length: tokens }, (_, t) => {
      const row = qkv.subarray(t * 2 * WIDTH + first, t * 2 * WIDTH + first + DIM);
      return rotate ? rotated(row, t) : row;
    });
  for (let head = 0; head < HEADS; head++) {
    const kvHead = Math.floor(head / (HEADS / KV_HEADS));
    const q = rowsOf(head * DIM, true);
    const k = rowsOf(WIDTH + kvHead * DIM, true);
    const v = rowsOf(WIDTH + (KV_HEADS + kvHead) * DIM, false);
    for (let i = 0; i < tokens; i++) {
      const weights = new Float32Array(i + 1);
      for (let j = 0; j <= i; j++) weights[j] = Math.exp(dot(q[i]!, k[j]!) * DIM ** -0.5);
      const total = weights.reduce((a, b) => a + b, 0);
      const row = out.subarray(i * WIDTH + head * DIM, i * WIDTH + (head + 1) * DIM);
      for (let j = 0; j <= i; j++) for (let c = 0; c < DIM; c++) row[c]! += (weights[j]! / total) * v[j]![c]!;
    }
  }
  return out;
}

/** Channel c turns with channel c + DIM / 2. */
export function rotated(row: Float32Array, position: number): Float32Array {
  const result = new Float32Array(DIM);
  for (let c = 0; c < DIM / 2; c++) {
    const angle = position * 10_000 ** ((-2 * c) / DIM);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    result[c] = row[c]! * cos - row[c + DIM / 2]! * sin;
    result[c + DIM / 2] = row[c + DIM / 2]! * cos + row[c]! * sin;
  }
  return result;
}

function norm(x: Float32Array, weight: Float32Array): Float32Array {
  const result = new Float32Array(x.length);
  for (let first = 0; first < x.length; first += WIDTH) {
    const row = x.subarray(first, first + WIDTH);
    const factor = 1 / Math.sqrt(dot(row, row) / WIDTH + 1e-6);
    for (let c = 0; c < WIDTH; c++) result[first + c] = row[c]! * factor * weight[c]!;
  }
  return result;
}

/** x Wᵀ, with W [out, width]. */
function linear(x: Float32Array, weight: Float32Array, width: number): Float32Array {
  const [rows, columns] = [x.length / width, weight.length / width];
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const given = x.subarray(row * width, (row + 1) * width);
    for (let column = 0; column < columns; column++)
      result[row * columns + column] = dot(given, weight.subarray(column * width, (column + 1) * width));
  }
  return result;
}

function addTo(x: Float32Array, y: Float32Array): void {
  for (let i = 0; i < x.length; i++) x[i]! += y[i]!;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c]! * b[c]!;
  return sum;
}
