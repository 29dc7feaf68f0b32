import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";
import {
  type Activation,
  planEmbedding,
  planL2Normalize,
  planLayerNorm,
  planLinear,
  planMeanPool,
} from "webgpu-attention/layers";
import { planSoftmaxAttention } from "webgpu-attention/softmax";
import type { Activations } from "./model/workspace.js";
import {
  type DenseWeights,
  type NormWeights,
  USE_LITE_DIM,
  USE_LITE_HEADS,
  type UseLiteLayerWeights,
  type UseLiteWeights,
} from "./use-lite-weights.js";

/** Of TensorFlow's Transformer; PyTorch has 1e-5. */
const NORM_EPSILON = 1e-6;

/** Rows of a batch as the application fills them in before `record`. */
export interface UseLiteInputs {
  /** u32 [batch, tokens] */
  readonly ids: GPUBuffer;
  /** u32 [batch] */
  readonly lengths: GPUBuffer;
}

interface Step {
  record(encoder: GPUCommandEncoder, buffers: Activations): void;
  destroy(): void;
}

/** The forward pass for one batch size and padded length. Plans are its own; weights and buffers are not. */
export class UseLiteModel {
  readonly #steps: readonly Step[];

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  static async plan(
    ctx: AttentionContext,
    weights: UseLiteWeights,
    inputs: UseLiteInputs,
    batch: number,
    tokens: number,
  ): Promise<UseLiteModel> {
    const planner = new StepPlanner(ctx, weights, inputs, batch, tokens);
    // All at once: pipelines of different steps compile side by side.
    const planned = await Promise.allSettled(planner.steps());
    const steps = planned.flatMap((step) => (step.status === "fulfilled" ? [step.value] : []));
    const failed = planned.find((step) => step.status === "rejected");
    if (failed) {
      for (const step of steps) step.destroy();
      throw failed.reason;
    }
    return new UseLiteModel(steps);
  }

  /** Records the forward pass. It leaves the embeddings in "embeddings" [batch, 1, 1, 512]. */
  record(encoder: GPUCommandEncoder, buffers: Activations): void {
    for (const step of this.#steps) step.record(encoder, buffers);
  }

  destroy(): void {
    for (const step of this.#steps) step.destroy();
  }
}

/** Plans the model's steps in order. Activations are named; a name stands for one buffer, whatever its shape. */
class StepPlanner {
  readonly #ctx: AttentionContext;
  readonly #weights: UseLiteWeights;
  readonly #inputs: UseLiteInputs;
  readonly #batch: number;
  readonly #tokens: number;

  constructor(
    ctx: AttentionContext,
    weights: UseLiteWeights,
    inputs: UseLiteInputs,
    batch: number,
    tokens: number,
  ) {
    this.#ctx = ctx;
    this.#weights = weights;
    this.#inputs = inputs;
    this.#batch = batch;
    this.#tokens = tokens;
  }

  steps(): Promise<Step>[] {
    const [first, second] = this.#weights.layers;
    return [
      this.#embed("embedded"),
      ...this.#layer(first!, "embedded"),
      ...this.#layer(second!, "stream"),
      this.#pool("stream", "pooled"),
      this.#dense("pooled", this.#weights.head, "squashed", {
        tokens: 1,
        inner: USE_LITE_DIM,
        activation: "tanh",
      }),
      this.#normalize("squashed", "embeddings"),
    ];
  }

  /** One Transformer layer with its norms before each block; leaves its result in "stream". */
  #layer(weights: UseLiteLayerWeights, input: string): Promise<Step>[] {
    const { width, shortcut } = weights;
    const hidden = weights.hidden.bias.shape[3];
    return [
      this.#norm(input, weights.attentionNorm, width),
      this.#dense("normed", weights.qkv, "wide", { inner: width }),
      this.#attend(width),
      // The residual is the layer's input before its norm, taken to the new width where that differs.
      ...(shortcut ? [this.#dense(input, shortcut, "stream", { inner: width })] : []),
      this.#dense("attended", weights.attentionOut, "branch", { inner: width, residual: "stream" }),
      this.#norm("branch", weights.hiddenNorm, USE_LITE_DIM),
      this.#dense("normed", weights.hidden, "wide", { inner: USE_LITE_DIM, activation: "relu" }),
      this.#dense("wide", weights.hiddenOut, "stream", { inner: hidden, residual: "branch" }),
    ];
  }

  async #embed(out: string): Promise<Step> {
    const { ids } = this.#inputs;
    const { table, positions: allPositions } = this.#weights;
    const shape = this.#rows(table.columns);
    const positions = { ...allPositions, shape: [1, this.#tokens, 1, table.columns] as const };
    const problem = { batches: this.#batch, tokens: this.#tokens, table, positions, scale: 2 };
    const plan = await planEmbedding(this.#ctx, problem);
    return {
      record: (encoder, buffers) => plan.record(encoder, { ids, positions, out: buffers.view(out, shape) }),
      destroy: () => plan.destroy(),
    };
  }

  async #norm(x: string, { scale, bias }: NormWeights, width: number): Promise<Step> {
    const shape = this.#rows(width);
    const layout = { dtype: "f32", shape } as const;
    const plan = await planLayerNorm(this.#ctx, { x: layout, scale, bias, epsilon: NORM_EPSILON });
    return {
      record: (encoder, buffers) =>
        plan.record(encoder, {
          x: buffers.view(x, shape),
          scale,
          bias,
          out: buffers.view("normed", shape),
        }),
      destroy: () => plan.destroy(),
    };
  }

  async #dense(
    x: string,
    { weight, bias }: DenseWeights,
    out: string,
    options: { inner: number; tokens?: number; activation?: Activation; residual?: string },
  ): Promise<Step> {
    const { inner, tokens = this.#tokens, activation = "none", residual } = options;
    const xShape: Shape4 = [this.#batch, tokens, 1, inner];
    const outShape: Shape4 = [this.#batch, tokens, 1, weight.shape[3]];
    const plan = await planLinear(this.#ctx, {
      x: { dtype: "f32", shape: xShape },
      weight,
      bias,
      activation,
      ...(residual && { residual: { dtype: "f32", shape: outShape } }),
    });
    return {
      record: (encoder, buffers) =>
        plan.record(encoder, {
          x: buffers.view(x, xShape),
          weight,
          bias,
          ...(residual && { residual: buffers.view(residual, outShape) }),
          out: buffers.view(out, outShape),
        }),
      destroy: () => plan.destroy(),
    };
  }

  /** "wide" holds q | k | v in each row. Padding is masked by length: id 0, unknown, is a token like any other. */
  async #attend(width: number): Promise<Step> {
    const headDim = width / USE_LITE_HEADS;
    const shape: Shape4 = [this.#batch, this.#tokens, USE_LITE_HEADS, headDim];
    const strides: Shape4 = [3 * width * this.#tokens, 3 * width, headDim, 1];
    const part = (index: number) => ({ dtype: "f32" as const, shape, strides, offset: index * width });
    const plan = await planSoftmaxAttention(this.#ctx, {
      q: part(0),
      k: part(1),
      v: part(2),
      keyLengths: this.#inputs.lengths,
    });
    return {
      record: (encoder, buffers) => {
        const { buffer } = buffers.view("wide", this.#rows(3 * width));
        const view = (index: number): TensorView => ({ ...part(index), buffer });
        plan.record(encoder, { q: view(0), k: view(1), v: view(2), out: buffers.view("attended", shape) });
      },
      destroy: () => plan.destroy(),
    };
  }

  async #pool(x: string, out: string): Promise<Step> {
    const { lengths } = this.#inputs;
    const shape = this.#rows(USE_LITE_DIM);
    const plan = await planMeanPool(this.#ctx, { x: { dtype: "f32", shape } });
    return {
      record: (encoder, buffers) =>
        plan.record(encoder, {
          x: buffers.view(x, shape),
          lengths,
          out: buffers.view(out, [this.#batch, 1, 1, USE_LITE_DIM]),
        }),
      destroy: () => plan.destroy(),
    };
  }

  async #normalize(x: string, out: string): Promise<Step> {
    const shape: Shape4 = [this.#batch, 1, 1, USE_LITE_DIM];
    const plan = await planL2Normalize(this.#ctx, { x: { dtype: "f32", shape } });
    return {
      record: (encoder, buffers) =>
        plan.record(encoder, { x: buffers.view(x, shape), out: buffers.view(out, shape) }),
      destroy: () => plan.destroy(),
    };
  }

  #rows(dim: number): Shape4 {
    return [this.#batch, this.#tokens, 1, dim];
  }
}
