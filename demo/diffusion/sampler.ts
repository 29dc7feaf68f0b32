import { type AttentionHook, perturbHeads, softPag } from "webgpu-attention/hooks";
import type { DiffusionModel, ImageModel } from "webgpu-attention/transformer";
import type { Progress } from "../common/worker-messages.js";
import { verdictOf } from "./choices.js";
import type { SampleRequest, Samples, Verdict } from "./diffusion-tasks.js";
import { noiseOf } from "./noise.js";
import { bytesOf } from "./pixels.js";

/** Makes images, and has them judged. */
export class Sampler {
  readonly #model: DiffusionModel;
  readonly #classifier: ImageModel | undefined;
  #perturbation = "";
  #hooks: readonly AttentionHook[] = [];

  constructor(model: DiffusionModel, classifier: ImageModel | undefined) {
    this.#model = model;
    this.#classifier = classifier;
  }

  /** @throws AttentionError as `DiffusionModel.sample` */
  async sample(
    { labels, seed, steps, guidance, perturbation }: SampleRequest,
    signal: AbortSignal,
    onProgress: (progress: Progress) => void,
  ): Promise<Samples> {
    const image = this.#model.config.image!;
    const { size, channels } = image;
    const { w, heads } = perturbation;
    const hooks = w === 0 || heads.length === 0 ? undefined : this.#hooksOf(perturbation);
    const images = await this.#model.sample({
      ...{ labels, steps, guidance, signal, onProgress },
      noise: noiseOf(seed, labels.length, channels * size ** 2),
      ...(hooks && { perturbation: { w, hooks } }),
    });
    const pixels = bytesOf(images, image);
    const verdicts = await this.#judge(pixels, signal);
    return { size, channels, pixels, ...(verdicts && { verdicts }) };
  }

  /** What is seen is judged: whole bytes. */
  async #judge(pixels: Uint8ClampedArray, signal: AbortSignal): Promise<Verdict[] | undefined> {
    const [made, read] = [this.#model.config.image!, this.#classifier?.config.image];
    if (!this.#classifier || read?.size !== made.size || read.channels !== made.channels) return undefined;
    const results = await this.#classifier.encode(this.#classifier.pixelsOf(pixels), { signal });
    return results.map(({ logits }) => verdictOf(logits!));
  }

  /** The same objects while nothing changes: compiled passes are found by them. */
  #hooksOf(perturbation: SampleRequest["perturbation"]): readonly AttentionHook[] {
    const { heads, u } = perturbation;
    const asked = JSON.stringify({ heads, u });
    if (asked !== this.#perturbation) {
      this.#hooks = [perturbHeads(heads, softPag({ u }))];
      this.#perturbation = asked;
    }
    return this.#hooks;
  }
}
