import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { checkHooks, checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import type { LoadCheckpointOptions } from "./load-checkpoint.js";
import { checkOutputs, chosenOutputs, type EncoderOutput } from "./model/encoder-outputs.js";
import { ImageForward } from "./model/image-forward.js";
import type { ForwardContext } from "./model/layer-context.js";
import { ModelRuntime, planWithBuffers } from "./model/model-runtime.js";
import { runAndRead } from "./model/run-and-read.js";
import type { ModelSource } from "./sources/model-files.js";
import { throwIfAborted } from "./sources/source-errors.js";

export interface ClassifyOptions {
  /** What comes back. Default all that the model has. */
  readonly outputs?: readonly EncoderOutput[];
  /** Look into the pass and change it. Default none. */
  readonly hooks?: readonly AttentionHook[];
  readonly signal?: AbortSignal;
}

/** What came of each image, of what was asked for. */
export interface ImageResult {
  /** [T, width] after the last norm, learned tokens first. */
  readonly hidden?: Float32Array;
  /** [width], where the model has a pooler. */
  readonly pooled?: Float32Array;
  /** [labels], where the model has a classifier; with two of them (DeiT) their mean. */
  readonly logits?: Float32Array;
}

interface PlannedImages {
  readonly forward: ImageForward;
  readonly images: TensorView;
  destroy(): void;
}

const KIND = {
  expected: "a model that encodes images",
  mismatch: ({ image, diffusion }: ModelConfig) =>
    image && !diffusion ? undefined : diffusion ? "one that makes them" : "one that reads tokens",
  keptPasses: 4,
};

/** A vision encoder on the GPU, with its classifier where it has one: ViT, DeiT, and models of any mechanism in this package's own format. */
export class ImageModel {
  readonly #runtime: ModelRuntime<PlannedImages>;

  private constructor(runtime: ModelRuntime<PlannedImages>) {
    this.#runtime = runtime;
  }

  get ctx(): AttentionContext {
    return this.#runtime.ctx;
  }

  get config(): ModelConfig {
    return this.#runtime.config;
  }

  /** @throws AttentionError as `loadCheckpoint`; "unsupported" for models that do not read images */
  static async load(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadCheckpointOptions = {},
  ): Promise<ImageModel> {
    return new ImageModel(await ModelRuntime.load(ctx, source, options, KIND));
  }

  /** Bytes of GPU memory: weights, and what passes hand from step to step. */
  get bytes(): number {
    return this.#runtime.bytes;
  }

  /** Names of the classes, in the order of logits; empty without a classifier. */
  get labels(): readonly string[] {
    const { head } = this.config;
    return head.kind === "classifier" ? head.labels : [];
  }

  /**
   * Bytes of pixels as the model wants them: (rescale · byte - mean) / std of each channel.
   *
   * @param bytes [images, channels, rows, columns]
   */
  pixelsOf(bytes: ArrayLike<number>): Float32Array {
    const { size, channels, rescale, mean, std } = this.config.image!;
    return Float32Array.from(bytes, (byte, n) => {
      const channel = Math.floor(n / size ** 2) % channels;
      return (byte * rescale - mean[channel]!) / std[channel]!;
    });
  }

  /**
   * Encodes images, all in one pass.
   *
   * @param pixels [images, channels, rows, columns], scaled as by `pixelsOf`
   * @throws AttentionError "shape" unless they are whole images, "unsupported" for outputs that the model does not have, "aborted", "disposed",
   * "device-lost"
   */
  async encode(pixels: Float32Array, options: ClassifyOptions = {}): Promise<ImageResult[]> {
    checkKnown("encode", options, ["outputs", "hooks", "signal"]);
    checkHooks(options.hooks ?? []);
    checkOutputs(options.outputs);
    const batches = this.#countImages(pixels);
    throwIfAborted("image model", options.signal);
    const { hidden, pooled, logits } = await this.#run(pixels, batches, options);
    const part = (values: Float32Array, n: number) =>
      values.slice((n * values.length) / batches, ((n + 1) * values.length) / batches);
    return Array.from({ length: batches }, (_, n) => ({
      ...(hidden && { hidden: part(hidden, n) }),
      ...(pooled && { pooled: part(pooled, n) }),
      ...(logits.length > 0 && { logits: meanOf(logits.map((values) => part(values, n))) }),
    }));
  }

  #run(pixels: Float32Array, batches: number, { outputs, hooks = [] }: ClassifyOptions) {
    const sizes = { batches, tokens: this.config.context, hooks };
    const plan = (context: ForwardContext) => this.#plan(context);
    return this.#runtime.with(sizes, plan, async ({ forward, images }) => {
      const { hidden, pooled, logits } = forward.outputs;
      const wanted = chosenOutputs(outputs, {
        ...{ hidden: true, pooled: pooled !== undefined, logits: logits.length > 0 },
      });
      const chosen = [
        ...(wanted.has("hidden") ? [hidden] : []),
        ...(wanted.has("pooled") ? [pooled!] : []),
        ...(wanted.has("logits") ? logits : []),
      ];
      const read = await runAndRead(this.ctx, chosen, (encoder) => {
        this.ctx.device.queue.writeBuffer(images.buffer, 0, pixels as Float32Array<ArrayBuffer>);
        forward.record(encoder, wanted);
      });
      const of = (view: TensorView | undefined) => (view ? read[chosen.indexOf(view)] : undefined);
      return {
        ...{ hidden: of(hidden), pooled: of(pooled) },
        logits: logits.map(of).filter((values) => values !== undefined),
      };
    });
  }

  #countImages(pixels: Float32Array): number {
    const { size, channels } = this.config.image!;
    const each = channels * size ** 2;
    const isArray = pixels instanceof Float32Array;
    if (isArray && pixels.length > 0 && pixels.length % each === 0) return pixels.length / each;
    throw new AttentionError(isArray ? "shape" : "dtype", {
      subject: "pixels",
      expected: `a Float32Array of whole images of ${channels} x ${size} x ${size} numbers, at least one`,
      got: isArray ? `${(pixels as Float32Array).length} numbers` : Object.prototype.toString.call(pixels),
      fix: "Resize images to the model's size, channels first; pixelsOf(bytes) scales them.",
    });
  }

  #plan(context: ForwardContext): Promise<PlannedImages> {
    const { size, channels } = this.config.image!;
    const images = this.ctx.empty([context.batches, channels, size, size]);
    return planWithBuffers({ images }, [images.buffer], () => ImageForward.plan(context, images));
  }

  destroy(): void {
    this.#runtime.destroy();
  }
}

function meanOf(lists: readonly Float32Array[]): Float32Array {
  return lists[0]!.map((_, n) => lists.reduce((sum, list) => sum + list[n]!, 0) / lists.length);
}
