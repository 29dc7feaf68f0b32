import type { SoftmaxOptions } from "../../kernels/softmax/options.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { wordBuffer } from "./softmax-run.js";

type ListOptions = Pick<SoftmaxOptions, "keyStarts" | "keyLengths" | "keyMask" | "sinkLogits">;

/**
 * Options with their arrays uploaded, in the forms that `SoftmaxOptions` describes.
 *
 * @param created takes the buffers, which are the caller's to destroy
 */
export function optionsInBuffers<Options extends ListOptions>(
  ctx: AttentionContext,
  tokensK: number,
  options: Options,
  created: GPUBuffer[],
): Options {
  const { keyStarts, keyLengths, keyMask, sinkLogits } = options;
  const words = (given: unknown, wordsOf: (values: ArrayLike<number>) => ArrayLike<number>): GPUBuffer => {
    const buffer = wordBuffer(ctx, wordsOf(given as ArrayLike<number>));
    created.push(buffer);
    return buffer;
  };
  const asBits = (values: ArrayLike<number>) => new Uint32Array(Float32Array.from(values).buffer);
  return {
    ...options,
    ...(keyStarts && { keyStarts: words(keyStarts, (values) => values) }),
    ...(keyLengths && { keyLengths: words(keyLengths, (values) => values) }),
    ...(keyMask && { keyMask: words(keyMask, (values) => maskBits(values, tokensK)) }),
    ...(sinkLogits && { sinkLogits: words(sinkLogits, asBits) }),
  };
}

/** [B, ceil(Tk / 32)] words, lowest bit first; the bits past the last key are set, since nobody may mind them. */
function maskBits(mask: ArrayLike<number>, tokensK: number): Uint32Array {
  const words = Math.ceil(tokensK / 32);
  const bits = new Uint32Array((mask.length / tokensK) * words).fill(0xffffffff);
  for (let i = 0; i < mask.length; i++) {
    const key = i % tokensK;
    if (!mask[i]) bits[Math.floor(i / tokensK) * words + (key >> 5)]! &= ~(1 << (key & 31));
  }
  return bits;
}
