import type { DiffusionModel, ImageModel, LanguageModel } from "webgpu-attention/transformer";

/** Tokens [from, end) are predicted from those behind `begin`. */
export interface TextWindow {
  readonly begin: number;
  readonly from: number;
  readonly end: number;
}

/** Windows of at most `context` tokens, the begin token's place included, that move by `stride`: each token is predicted once. */
export function textWindows(tokens: number, context: number, stride = 256): TextWindow[] {
  const windows: TextWindow[] = [];
  for (let from = 0; from < tokens; ) {
    const end = Math.min(from + (from === 0 ? context : stride), tokens);
    windows.push({ begin: Math.max(0, end - context), from, end });
    from = end;
  }
  return windows;
}

/** Bits of the tokens that a window predicts, as `tools/train/evaluate.py` counts them: the window opens with the begin token. */
export async function bitsOfWindow(
  model: Pick<LanguageModel, "config" | "logits">,
  ids: ArrayLike<number>,
  { begin, from, end }: TextWindow,
): Promise<number> {
  const { vocabulary, bos } = model.config.tokens!;
  const inputs = [bos ?? 0, ...Array.from(ids).slice(begin, end - 1)];
  const logits = await model.logits(inputs);
  let bits = 0;
  for (let token = from; token < end; token++) {
    const row = logits.subarray((token - begin) * vocabulary, (token - begin + 1) * vocabulary);
    bits += surprise(row, ids[token]!);
  }
  return bits;
}

/** -log2 of the share that softmax gives a token. */
function surprise(logits: Float32Array, id: number): number {
  const most = logits.reduce((largest, value) => Math.max(largest, value));
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return (most + Math.log(sum) - logits[id]!) / Math.LN2;
}

/** Images [images, channels · size²] in parts: the class that each is taken for. */
export async function classesOf(model: ImageModel, pixels: Float32Array, part = 250): Promise<number[]> {
  const { size, channels } = model.config.image!;
  const each = channels * size ** 2;
  const classes: number[] = [];
  for (let first = 0; first < pixels.length; first += part * each) {
    const results = await model.encode(pixels.slice(first, first + part * each), { outputs: ["logits"] });
    classes.push(...results.map(({ logits }) => argMax(logits!)));
  }
  return classes;
}

export function argMax(values: ArrayLike<number>): number {
  return Array.from(values).reduce((best, value, index, all) => (value > all[best]! ? index : best), 0);
}

/** Samples as a classifier knows images: it was trained on bytes, which end at -1 and 1. */
export function asPixels(samples: Float32Array): Float32Array {
  return samples.map((value) => Math.min(1, Math.max(-1, value)));
}

/** Conditional samples that a classifier names by their class, of one class after the other. */
export async function recognised(
  model: DiffusionModel,
  judge: ImageModel,
  { noise, perClass }: { readonly noise: Float32Array; readonly perClass: number },
): Promise<number> {
  const { classes } = model.config.diffusion!;
  const each = noise.length / (classes * perClass);
  let right = 0;
  for (let label = 0; label < classes; label++) {
    const own = noise.subarray(label * perClass * each, (label + 1) * perClass * each);
    const labels = Array.from({ length: perClass }, () => label);
    const images = await model.sample({ labels, noise: own });
    const named = await classesOf(judge, asPixels(images));
    right += named.filter((name) => name === label).length;
  }
  return right;
}
