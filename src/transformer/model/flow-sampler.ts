import type { AttentionContext, TensorView } from "webgpu-attention";
import { type GateTensors, type LayerPlan, planGate } from "webgpu-attention/layers";
import { BUFFER_USAGE } from "../buffer-usage.js";
import type { DiffusionForward } from "./diffusion-forward.js";

/** A compiled pass with what it is given. */
export interface PlannedDiffusion {
  readonly forward: DiffusionForward;
  /** [B, channels, rows, columns] */
  readonly images: TensorView;
  /** [B, 1, 1, width] */
  readonly times: TensorView;
  /** u32 [B] */
  readonly labels: GPUBuffer;
  destroy(): void;
}

/** One of the velocities that guidance adds up. */
export interface VelocityTerm {
  readonly pass: PlannedDiffusion;
  /** Of each image. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Of the velocity in x += Σ factor · velocity. */
  readonly factor: number;
}

interface Term extends Omit<VelocityTerm, "labels" | "factor"> {
  readonly labels: GPUBuffer;
  /** [1, 1, 1, 1] */
  readonly factor: TensorView;
}

interface Parts {
  readonly terms: readonly Term[];
  readonly times: GPUBuffer;
  readonly images: readonly [TensorView, TensorView, TensorView];
  readonly update: LayerPlan<GateTensors>;
  /** All buffers of it. */
  readonly made: readonly GPUBuffer[];
}

/**
 * Euler steps of images from noise, all on the GPU: a step is one command buffer with every velocity and the update. Passes of a model share buffers,
 * so each is given its inputs by copies in that command buffer.
 */
export class FlowSampler {
  readonly #ctx: AttentionContext;
  readonly #terms: readonly Term[];
  /** [steps, B, width] */
  readonly #times: GPUBuffer;
  /** [B, 1, 1, pixels]: the images, and two for sums that are not complete; in turn. */
  readonly #images: readonly [TensorView, TensorView, TensorView];
  readonly #update: LayerPlan<GateTensors>;
  readonly #made: readonly GPUBuffer[];
  #current = 0;

  private constructor(ctx: AttentionContext, { terms, times, images, update, made }: Parts) {
    this.#ctx = ctx;
    this.#terms = terms;
    this.#times = times;
    this.#images = images;
    this.#update = update;
    this.#made = made;
  }

  /**
   * @param noise of all images
   * @param times [steps, images, width] features
   * @throws AttentionError "limit", "compile", "disposed", "device-lost"
   */
  static async plan(
    ctx: AttentionContext,
    terms: readonly VelocityTerm[],
    noise: Float32Array<ArrayBuffer>,
    times: Float32Array<ArrayBuffer>,
  ): Promise<FlowSampler> {
    const batches = terms[0]!.labels.length;
    const pixels = [batches, 1, 1, noise.length / batches] as const;
    const scalar = [1, 1, 1, 1] as const;
    const layout = { dtype: "f32", shape: pixels } as const;
    const update = await planGate(ctx, {
      ...{ x: layout, residual: layout, out: layout },
      gate: { dtype: "f32", shape: scalar },
    });
    const made: GPUBuffer[] = [];
    const kept = (view: TensorView) => {
      made.push(view.buffer);
      return view;
    };
    const usage = BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
    const upload = (data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>) => {
      const buffer = ctx.device.createBuffer({ size: data.byteLength, usage });
      made.push(buffer);
      ctx.device.queue.writeBuffer(buffer, 0, data);
      return buffer;
    };
    try {
      const owned = terms.map(({ pass, labels, factor }) => ({
        pass,
        labels: upload(labels),
        factor: kept(ctx.fromArray([factor], scalar)),
      }));
      const images = [
        kept(ctx.fromArray(noise, pixels)),
        kept(ctx.empty(pixels)),
        kept(ctx.empty(pixels)),
      ] as const;
      return new FlowSampler(ctx, { terms: owned, times: upload(times), images, update, made });
    } catch (error) {
      for (const buffer of made) buffer.destroy();
      update.destroy();
      throw error;
    }
  }

  /** Submits one step. @throws AttentionError "limit", "disposed", "device-lost" */
  step(index: number): Promise<void> {
    return this.#ctx.submitChecked((encoder) => this.#record(encoder, index));
  }

  #record(encoder: GPUCommandEncoder, index: number): void {
    const first = this.#current;
    const images = this.#images[first]!;
    // Sums go from one of the other two to the other: all velocities are those of the images as they were.
    let sum = images;
    for (const { pass, labels, factor } of this.#terms) {
      const { forward, times } = pass;
      const size = 4 * times.shape[0] * times.shape[3];
      encoder.copyBufferToBuffer(images.buffer, 0, pass.images.buffer, 0, images.buffer.size);
      encoder.copyBufferToBuffer(this.#times, index * size, times.buffer, 0, size);
      encoder.copyBufferToBuffer(labels, 0, pass.labels, 0, labels.size);
      forward.record(encoder);
      this.#current = this.#other(first, this.#current);
      const out = this.#images[this.#current]!;
      const x = { ...forward.prediction, shape: images.shape };
      this.#update.record(encoder, { x, gate: factor, residual: sum, out });
      sum = out;
    }
  }

  /** Neither the one nor the other. */
  #other(first: number, current: number): number {
    return [0, 1, 2].find((index) => index !== first && index !== current)!;
  }

  /** The images as they are. */
  read(): Promise<Float32Array> {
    return this.#ctx.read(this.#images[this.#current]!);
  }

  destroy(): void {
    this.#update.destroy();
    for (const buffer of this.#made) buffer.destroy();
  }
}
