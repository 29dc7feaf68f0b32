import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { BUFFER_USAGE } from "./buffer-usage.js";
import { checkHooks, checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import type { LoadCheckpointOptions } from "./load-checkpoint.js";
import { DiffusionForward } from "./model/diffusion-forward.js";
import { FlowSampler, type PlannedDiffusion, type VelocityTerm } from "./model/flow-sampler.js";
import type { ForwardContext } from "./model/layer-context.js";
import { ModelRuntime, planWithBuffers } from "./model/model-runtime.js";
import { runAndRead } from "./model/run-and-read.js";
import type { ModelSource } from "./sources/model-files.js";
import { throwIfAborted } from "./sources/source-errors.js";

export interface SampleOptions {
  /** Class of each image; `null` for none: unconditional. */
  readonly labels: readonly (number | null)[];
  /** [images, channels, rows, columns] normal noise to begin with. */
  readonly noise: ArrayLike<number>;
  /** Euler steps from noise to image. Default the model's own. */
  readonly steps?: number;
  /** g of classifier-free guidance, uncond + g (cond - uncond) (arXiv 2207.12598); 1 for none. Default the model's own. */
  readonly guidance?: number;
  /** Guidance away from a weaker model: + w (plain - perturbed), the perturbed one run with these hooks (PAG, SoftPAG). Default none. */
  readonly perturbation?: { readonly w: number; readonly hooks: readonly AttentionHook[] };
  /** Look into the plain pass and change it. Default none. */
  readonly hooks?: readonly AttentionHook[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

const KIND = {
  expected: "a diffusion transformer",
  mismatch: ({ diffusion }: ModelConfig) => (diffusion ? undefined : "another model"),
  keptPasses: 6,
};

/** A diffusion transformer on the GPU that was trained by flow matching (DiT, arXiv 2212.09748). */
export class DiffusionModel {
  readonly #runtime: ModelRuntime<PlannedDiffusion>;

  private constructor(runtime: ModelRuntime<PlannedDiffusion>) {
    this.#runtime = runtime;
  }

  get ctx(): AttentionContext {
    return this.#runtime.ctx;
  }

  get config(): ModelConfig {
    return this.#runtime.config;
  }

  /** @throws AttentionError as `loadCheckpoint`; "unsupported" for other models */
  static async load(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadCheckpointOptions = {},
  ): Promise<DiffusionModel> {
    return new DiffusionModel(await ModelRuntime.load(ctx, source, options, KIND));
  }

  /** Bytes of GPU memory: weights, and what passes hand from step to step. */
  get bytes(): number {
    return this.#runtime.bytes;
  }

  /**
   * The velocity that the model predicts, image - noise.
   *
   * @param images [images, channels, rows, columns]
   * @param time from 0, noise, to 1, image
   * @param labels of each image, `null` for none
   * @throws AttentionError "shape", "aborted", "disposed", "device-lost"
   */
  async velocity(
    images: ArrayLike<number>,
    time: number,
    labels: readonly (number | null)[],
    hooks: readonly AttentionHook[] = [],
  ): Promise<Float32Array> {
    checkHooks(hooks);
    this.#check(images, labels);
    if (!(time >= 0 && time <= 1)) throw wrong("time", "a number from 0 to 1", time);
    const { width, diffusion } = this.config;
    const features = timeFeatures(time, width, diffusion!);
    const times = new Float32Array(labels.length * width);
    for (let n = 0; n < labels.length; n++) times.set(features, n * width);
    return this.#with(labels.length, hooks, async (pass) => {
      const [velocity] = await runAndRead(this.ctx, [pass.forward.prediction], (encoder) => {
        const { queue } = this.ctx.device;
        queue.writeBuffer(pass.images.buffer, 0, Float32Array.from(images));
        queue.writeBuffer(pass.times.buffer, 0, times);
        queue.writeBuffer(pass.labels, 0, this.#labelIds(labels));
        pass.forward.record(encoder);
      });
      return velocity!;
    });
  }

  /**
   * Makes images from noise. They stay on the GPU until the last step, each of which is one command buffer; an abort is noticed between steps.
   *
   * @returns [images, channels, rows, columns], in [-1, 1] as the model was trained
   * @throws AttentionError "shape" or "unsupported" for options that are none, "aborted", "disposed", "device-lost"
   */
  async sample(options: SampleOptions): Promise<Float32Array> {
    checkKnown("sample", options, [
      ...["labels", "noise", "steps", "guidance", "perturbation", "hooks", "signal", "onProgress"],
    ]);
    const { sampler } = this.config.diffusion!;
    const { labels, noise, steps = sampler.steps, hooks = [], perturbation } = options;
    const { guidance = sampler.guidance } = options;
    checkHooks(hooks);
    checkPerturbation(perturbation);
    this.#check(noise, labels);
    if (!Number.isInteger(steps) || steps < 1) throw wrong("steps", "an integer of at least 1", steps);
    for (const [name, value] of Object.entries({
      guidance,
      "perturbation.w": perturbation ? perturbation.w : 0,
    }))
      if (!Number.isFinite(value)) throw wrong(name, "a finite number", value);
    return this.#with(labels.length, hooks, (plain) => {
      const factors = guidanceFactors(labels, guidance, perturbation?.w);
      const integrate = (perturbed?: PlannedDiffusion) =>
        this.#integrate(this.#terms({ plain, ...(perturbed && { perturbed }) }, factors, labels, steps), {
          ...options,
          steps,
        });
      return perturbation ? this.#with(labels.length, perturbation.hooks, integrate) : integrate();
    });
  }

  /** The velocities of a step of 1 / steps, as they are added up. */
  #terms(
    { plain, perturbed }: { readonly plain: PlannedDiffusion; readonly perturbed?: PlannedDiffusion },
    { conditional, unconditional, away }: GuidanceFactors,
    labels: readonly (number | null)[],
    steps: number,
  ): VelocityTerm[] {
    const given = this.#labelIds(labels);
    const term = (pass: PlannedDiffusion, ids: Uint32Array<ArrayBuffer>, factor: number) => ({
      ...{ pass, labels: ids, factor: factor / steps },
    });
    return [
      term(plain, given, conditional),
      ...(unconditional === undefined
        ? []
        : [term(plain, this.#labelIds(labels.map(() => null)), unconditional)]),
      ...(perturbed && away !== undefined ? [term(perturbed, given, away)] : []),
    ];
  }

  async #integrate(
    terms: readonly VelocityTerm[],
    { noise, labels, steps, signal, onProgress }: SampleOptions & { readonly steps: number },
  ): Promise<Float32Array> {
    throwIfAborted("sample", signal);
    const { width, diffusion } = this.config;
    const times = new Float32Array(steps * labels.length * width);
    for (let n = 0; n < steps * labels.length; n++)
      times.set(timeFeatures(Math.floor(n / labels.length) / steps, width, diffusion!), n * width);
    const sampler = await FlowSampler.plan(this.ctx, terms, Float32Array.from(noise), times);
    try {
      for (let step = 0; step < steps; step++) {
        throwIfAborted("sample", signal);
        await sampler.step(step);
        // What is reported as done is, and a signal stops what comes.
        await this.ctx.device.queue.onSubmittedWorkDone();
        onProgress?.({ done: step + 1, total: steps });
      }
      return await sampler.read();
    } finally {
      sampler.destroy();
    }
  }

  #with<Result>(
    batches: number,
    hooks: readonly AttentionHook[],
    use: (pass: PlannedDiffusion) => Promise<Result>,
  ): Promise<Result> {
    const sizes = { batches, tokens: this.config.context, hooks };
    return this.#runtime.with(sizes, (context) => this.#plan(context), use);
  }

  #labelIds(labels: readonly (number | null)[]): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(labels, (label) => label ?? this.config.diffusion!.noLabel);
  }

  #check(images: ArrayLike<number>, labels: readonly (number | null)[]): void {
    const { image, diffusion } = this.config;
    const { channels, size } = image!;
    const numbers = labels.length * channels * size ** 2;
    if (labels.length === 0) throw wrong("labels", "at least one", "none");
    if (images.length !== numbers)
      throw wrong("images", `${numbers} numbers, ${labels.length} images`, images.length);
    for (const [n, label] of labels.entries()) {
      if (label === null || (Number.isInteger(label) && label >= 0 && label < diffusion!.classes)) continue;
      throw wrong(`labels[${n}]`, `null, or an integer from 0 to ${diffusion!.classes - 1}`, label);
    }
  }

  #plan(context: ForwardContext): Promise<PlannedDiffusion> {
    const { ctx, config } = this;
    const { batches } = context;
    const { size, channels } = config.image!;
    const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
    const given = {
      images: ctx.empty([batches, channels, size, size]),
      times: ctx.empty([batches, 1, 1, config.width]),
      labels: ctx.device.createBuffer({ size: 4 * batches, usage, label: "labels" }),
    };
    const buffers = [given.images.buffer, given.times.buffer, given.labels];
    return planWithBuffers(given, buffers, () => DiffusionForward.plan({ ...context, ...given }));
  }

  destroy(): void {
    this.#runtime.destroy();
  }
}

/** @throws AttentionError "shape" or "unsupported" unless there are hooks */
function checkPerturbation(perturbation: SampleOptions["perturbation"]): void {
  if (perturbation === undefined) return;
  checkKnown("perturbation", perturbation, ["w", "hooks"]);
  checkHooks(perturbation.hooks);
}

/** Factors of the velocities with labels, without, and of the perturbed pass. Absent: that one is not needed. */
interface GuidanceFactors {
  readonly conditional: number;
  readonly unconditional?: number;
  readonly away?: number;
}

/** uncond + g (cond - uncond) + w (cond - perturbed), as `perturbationGuidance` has it. */
function guidanceFactors(
  labels: readonly (number | null)[],
  guidance: number,
  w: number | undefined,
): GuidanceFactors {
  const isFree = guidance === 1 || labels.every((label) => label === null);
  return {
    conditional: (isFree ? 1 : guidance) + (w ?? 0),
    ...(!isFree && { unconditional: 1 - guidance }),
    ...(w !== undefined && { away: -w }),
  };
}

/** [width]: cosines, then sines, of timeScale t at rates timeBase^(-i / (width / 2)). */
function timeFeatures(
  time: number,
  width: number,
  { timeScale, timeBase }: NonNullable<ModelConfig["diffusion"]>,
): Float32Array {
  const half = width / 2;
  return Float32Array.from({ length: width }, (_, n) => {
    const angle = timeScale * time * timeBase ** (-(n % half) / half);
    return n < half ? Math.cos(angle) : Math.sin(angle);
  });
}

function wrong(subject: string, expected: string, got: unknown): AttentionError {
  const fix = "Give labels and noise of the same number of images.";
  return new AttentionError("shape", { subject, expected, got: String(got), fix });
}
