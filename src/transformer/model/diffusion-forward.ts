import type { TensorView } from "webgpu-attention";
import { planEmbedding, planGate, planImage, planMatmul } from "webgpu-attention/layers";
import { wholeSite } from "./announce.js";
import { planImageEmbedding } from "./image-embedding.js";
import { planLayer } from "./layer.js";
import { type ForwardContext, linearWeights, rows } from "./layer-context.js";
import type { Modulation } from "./mixers/streams.js";
import { planSteps, type Step, stepOf } from "./step.js";
import { StepList } from "./step-list.js";

export interface DiffusionForwardOptions extends ForwardContext {
  /** [B, channels, rows, columns] */
  readonly images: TensorView;
  /** [B, 1, 1, width] features of each time. */
  readonly times: TensorView;
  /** u32 [B] */
  readonly labels: GPUBuffer;
}

/** What a diffusion transformer predicts of a batch of images (DiT, arXiv 2212.09748), compiled. */
export class DiffusionForward {
  readonly #steps: StepList;
  /** [B, channels, rows, columns], until the next pass. */
  readonly prediction: TensorView;

  private constructor(steps: readonly Step[], prediction: TensorView) {
    this.#steps = new StepList(steps);
    this.prediction = prediction;
  }

  static async plan(options: DiffusionForwardOptions): Promise<DiffusionForward> {
    const { config, work, batches, tokens, images } = options;
    const { width } = config;
    const prediction = work.view("prediction", images.shape);
    const condition = work.view("condition", [batches, 1, 1, width]);
    const steps = await planSteps([
      planImageEmbedding(options, images),
      planCondition(options, condition),
      ...config.layers.map(async ({ attention: { mechanism } }, layer) => {
        const name = `modulation ${layer}`;
        const all = work.view(name, [batches, 1, 1, 6 * width]);
        const site = wholeSite(layer, mechanism, tokens);
        return planSteps([
          planModulation(options, `layers.${layer}.modulation`, condition, all),
          planLayer({ ...options, index: layer, site }, undefined, [
            modulationOf(all, width, 0),
            modulationOf(all, width, 3),
          ]),
        ]);
      }),
      planPrediction(options, condition, prediction),
    ]);
    return new DiffusionForward(steps, prediction);
  }

  record(encoder: GPUCommandEncoder): void {
    this.#steps.record(encoder);
  }

  destroy(): void {
    this.#steps.destroy();
  }
}

/** silu(time + label): what all modulations are made of. */
async function planCondition(options: DiffusionForwardOptions, out: TensorView): Promise<Step[]> {
  const { ctx, config, weights, work, batches, times, labels } = options;
  const view = (name: string) => work.view(name, [batches, 1, 1, config.width]);
  const [label, opened, sum] = [view("label"), view("time"), view("time and label")];
  const table = weights.matrices("labels")[0]!;
  return planSteps([
    planEmbedding(ctx, { batches, tokens: 1, table, out: label }).then((plan) =>
      stepOf(plan, { ids: labels, out: label }),
    ),
    planMatmul(ctx, {
      ...{ x: times, out: opened, activation: "silu", ...linearWeights(options, "timeIn") },
    }).then((plan) => stepOf(plan, { x: times, out: opened })),
    planMatmul(ctx, {
      ...{ x: opened, residual: label, out: sum, ...linearWeights(options, "timeOut") },
    }).then((plan) => stepOf(plan, { x: opened, residual: label, out: sum })),
    planSilu(options, sum, out),
  ]);
}

/** silu(x) = x sigmoid(x) */
async function planSilu({ ctx }: DiffusionForwardOptions, x: TensorView, out: TensorView): Promise<Step> {
  const plan = await planGate(ctx, { x, gate: x, activation: "sigmoid", out });
  return stepOf(plan, { x, gate: x, out });
}

function planModulation(
  options: DiffusionForwardOptions,
  slot: string,
  x: TensorView,
  out: TensorView,
): Promise<Step[]> {
  const plan = planMatmul(options.ctx, { x, out, ...linearWeights(options, slot) });
  return planSteps([plan.then((made) => stepOf(made, { x, out }))]);
}

/** Shift, scale and gate, side by side from the n-th part on. */
function modulationOf(all: TensorView, width: number, n: number): Modulation {
  return { shift: partOf(all, width, n), scale: partOf(all, width, n + 1), gate: partOf(all, width, n + 2) };
}

function partOf(all: TensorView, width: number, n: number): TensorView {
  const row = all.shape[3];
  return { ...all, shape: [all.shape[0], 1, 1, width], strides: [row, row, row, 1], offset: n * width };
}

async function planPrediction(
  options: DiffusionForwardOptions,
  condition: TensorView,
  prediction: TensorView,
): Promise<Step[]> {
  const { ctx, config, work, batches } = options;
  const { width, norm, image } = config;
  const all = work.view("last modulation", [batches, 1, 1, 2 * width]);
  const [shift, scale] = [partOf(all, width, 0), partOf(all, width, 1)];
  const x = rows(options, "stream", width);
  const patchSize = image!.patch;
  const patches = rows(options, "predicted patches", image!.channels * patchSize ** 2);
  return planSteps([
    planModulation(options, "modulation", condition, all),
    planSteps([
      planMatmul(ctx, {
        ...{ x, out: patches, norm: { kind: "layer", epsilon: norm.eps }, modulation: { scale, shift } },
        ...linearWeights(options, "head"),
      }).then((plan) => stepOf(plan, { x, scale, shift, out: patches })),
      planImage(ctx, { x: patches, out: prediction, patchSize }).then((plan) =>
        stepOf(plan, { x: patches, out: prediction }),
      ),
    ]),
  ]);
}
