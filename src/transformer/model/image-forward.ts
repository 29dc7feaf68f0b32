import type { TensorView } from "webgpu-attention";
import { planMatmul } from "webgpu-attention/layers";
import { wholeSite } from "./announce.js";
import type { EncoderOutput } from "./encoder-outputs.js";
import { EncoderSteps } from "./encoder-steps.js";
import { planImageEmbedding, tokensOf } from "./image-embedding.js";
import { planLayer, planNorm } from "./layer.js";
import { type ForwardContext, linearWeights, normOptions, rows } from "./layer-context.js";
import { planSteps, type Step, stepOf } from "./step.js";

/** What a vision encoder makes of a batch of images. */
export interface ImageOutputs {
  /** [B, T, 1, width] after the last norm, learned tokens first. */
  readonly hidden: TensorView;
  /** [B, 1, 1, width], where the model has a pooler. */
  readonly pooled?: TensorView;
  /** [B, 1, 1, labels] of each classifier: one, or those of the class and the distillation token. */
  readonly logits: readonly TensorView[];
}

/** A forward pass of a vision encoder for one number of images, compiled. */
export class ImageForward {
  readonly #steps: EncoderSteps;
  /** Until the next pass. */
  readonly outputs: ImageOutputs;

  private constructor(steps: EncoderSteps, outputs: ImageOutputs) {
    this.#steps = steps;
    this.outputs = outputs;
  }

  /** @param images [B, channels, rows, columns] f32 */
  static async plan(options: ForwardContext, images: TensorView): Promise<ImageForward> {
    const { config, weights, work, batches, tokens } = options;
    const { width, head } = config;
    const stream = rows(options, "stream", width);
    const hidden = rows(options, "hidden states", width);
    const pooled = weights.has("pooler") ? work.view("pooled", [batches, 1, 1, width]) : undefined;
    const slots = head.kind === "classifier" ? ["head", ...(head.distilled ? ["distillationHead"] : [])] : [];
    const logits = slots.map((slot) =>
      work.view(`logits of ${slot}`, [batches, 1, 1, head.kind === "classifier" ? head.labels.length : 1]),
    );
    const body = [
      planImageEmbedding(options, images),
      ...config.layers.map(({ attention: { mechanism } }, layer) => {
        const site = wholeSite(layer, mechanism, tokens);
        return planLayer({ ...options, index: layer, site }, undefined);
      }),
    ];
    const steps = await EncoderSteps.plan(body, {
      hidden: [planNorm(options, "norm", stream, hidden)],
      pooled: pooled ? [planPooler(options, hidden, pooled)] : [],
      logits: slots.map((slot, token) =>
        planClassifier(options, slot, tokensOf(stream, token, 1), logits[token]!),
      ),
    });
    return new ImageForward(steps, { hidden, logits, ...(pooled && { pooled }) });
  }

  /** The pooler reads the states of all tokens, so they are then computed as well. */
  record(encoder: GPUCommandEncoder, wanted: ReadonlySet<EncoderOutput>): void {
    this.#steps.record(encoder, wanted.has("pooled") ? new Set([...wanted, "hidden"]) : wanted);
  }

  destroy(): void {
    this.#steps.destroy();
  }
}

function planPooler(options: ForwardContext, hidden: TensorView, out: TensorView): Promise<Step[]> {
  const x = tokensOf(hidden, 0, 1);
  const plan = planMatmul(options.ctx, { x, out, activation: "tanh", ...linearWeights(options, "pooler") });
  return planSteps([plan.then((made) => stepOf(made, { x, out }))]);
}

/** The last norm is the product's own: only one token needs it. */
function planClassifier(
  options: ForwardContext,
  slot: string,
  x: TensorView,
  out: TensorView,
): Promise<Step[]> {
  const norm = normOptions(options, "norm");
  const plan = planMatmul(options.ctx, { x, out, norm, ...linearWeights(options, slot) });
  return planSteps([plan.then((made) => stepOf(made, { x, out }))]);
}
