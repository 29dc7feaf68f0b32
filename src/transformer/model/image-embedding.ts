import type { TensorView } from "webgpu-attention";
import { planGate, planMatmul, planPatches } from "webgpu-attention/layers";
import { type ForwardContext, linearWeights, rows } from "./layer-context.js";
import { planSteps, type Step, stepOf } from "./step.js";

/**
 * Patches of images with their positions, behind the learned tokens, into "stream": [B, extra tokens + patches, 1, width].
 *
 * @param images [B, channels, rows, columns] f32
 */
export function planImageEmbedding(options: ForwardContext, images: TensorView): Promise<Step[]> {
  const { ctx, config, weights, work, batches } = options;
  const { width, image } = config;
  const { extraTokens, patch: patchSize, channels, size } = image!;
  const count = (size / patchSize) ** 2;
  const patches = work.view("patches", [batches, count, 1, channels * patchSize ** 2]);
  const stream = rows(options, "stream", width);
  const out = tokensOf(stream, extraTokens, count);
  const positions = weights.view("positions");
  const residual = { ...positions, shape: [1, count, 1, width] as const, offset: extraTokens * width };
  const cut = planPatches(ctx, { x: images, out: patches, patchSize });
  const embed = planMatmul(ctx, { x: patches, residual, out, ...linearWeights(options, "patches") });
  const learned = ["classToken", "distillationToken"].slice(0, extraTokens);
  return planSteps([
    cut.then((plan) => stepOf(plan, { x: images, out: patches })),
    embed.then((plan) => stepOf(plan, { x: patches, residual, out })),
    ...learned.map((slot, token) => planLearned(options, weights.view(slot), token, stream)),
  ]);
}

/** A learned token and its position, the same for every image. */
async function planLearned(
  { ctx, weights, batches, config: { width } }: ForwardContext,
  token: TensorView,
  index: number,
  stream: TensorView,
): Promise<Step> {
  const repeated = (view: TensorView, offset: number): TensorView => ({
    ...view,
    shape: [batches, 1, 1, width],
    strides: [0, width, width, 1],
    offset,
  });
  const tensors = {
    x: repeated(token, 0),
    residual: repeated(weights.view("positions"), index * width),
    out: tokensOf(stream, index, 1),
  };
  return stepOf(await planGate(ctx, tensors), tensors);
}

/** Tokens [first, first + count) of dense rows [B, T, 1, width]. */
export function tokensOf(view: TensorView, first: number, count: number): TensorView {
  const [batches, tokens, , width] = view.shape;
  return {
    ...view,
    shape: [batches, count, 1, width],
    strides: [tokens * width, width, width, 1],
    offset: first * width,
  };
}
