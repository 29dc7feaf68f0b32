import type { AttentionContext, TensorView } from "webgpu-attention";
import { type LayerPlan, planRmsNorm, type RmsNormTensors } from "webgpu-attention/layers";
import { type HeadRouterPlan, planHeadRouter } from "webgpu-attention/moh";
import type { ModelConfig, ModelWeights } from "webgpu-attention/transformer";

/** The gates of a mixture-of-head model's tokens, from what enters its layers. */
export class Gates {
  readonly #ctx: AttentionContext;
  readonly #weights: ModelWeights;
  readonly #layers: number;
  readonly #norm: LayerPlan<RmsNormTensors>;
  readonly #router: HeadRouterPlan;
  readonly #x: TensorView;
  readonly #gates: TensorView;

  private constructor(
    ctx: AttentionContext,
    weights: ModelWeights,
    layers: number,
    plans: { readonly norm: LayerPlan<RmsNormTensors>; readonly router: HeadRouterPlan },
    tensors: { readonly x: TensorView; readonly gates: TensorView },
  ) {
    this.#ctx = ctx;
    this.#weights = weights;
    this.#layers = layers;
    this.#norm = plans.norm;
    this.#router = plans.router;
    this.#x = tensors.x;
    this.#gates = tensors.gates;
  }

  /** @param weights of the model; the caller's */
  static async create(
    ctx: AttentionContext,
    { layers, width, norm }: ModelConfig,
    weights: ModelWeights,
    tokens: number,
  ): Promise<Gates> {
    const { attention } = layers[0]!;
    if (attention.mechanism !== "moh") throw new Error(`no gates in ${attention.mechanism} attention`);
    const { heads, sharedHeads, topK } = attention;
    const x = ctx.empty([1, tokens, 1, width]);
    const gates = ctx.empty([1, tokens, heads, 1]);
    const scale = weights.view("layers.0.norm1.weight");
    const routing = { ...{ x, gates, heads, sharedHeads, topK, lists: false }, ...routerWeights(weights, 0) };
    const plans = {
      norm: await planRmsNorm(ctx, { x, scale, out: x, epsilon: norm.eps }),
      router: await planHeadRouter(ctx, routing),
    };
    return new Gates(ctx, weights, layers.length, plans, { x, gates });
  }

  /**
   * [tokens, heads] of each layer.
   *
   * @param entering [1, tokens, 1, width], what enters a layer
   */
  async read(entering: (layer: number) => TensorView): Promise<Float32Array[]> {
    const found: Float32Array[] = [];
    for (let layer = 0; layer < this.#layers; layer++) {
      const [x, gates, weights] = [this.#x, this.#gates, this.#weights];
      const scale = weights.view(`layers.${layer}.norm1.weight`);
      await this.#ctx.submitChecked((encoder) => {
        this.#norm.record(encoder, { x: entering(layer), scale, out: x });
        this.#router.record(encoder, { x, gates, ...routerWeights(weights, layer) });
      });
      found.push(await this.#ctx.read(gates));
    }
    return found;
  }

  destroy(): void {
    this.#norm.destroy();
    this.#router.destroy();
    this.#x.buffer.destroy();
    this.#gates.buffer.destroy();
  }
}

function routerWeights(weights: ModelWeights, layer: number) {
  const part = (name: string) => transposed(weights.view(`layers.${layer}.router.${name}`));
  return { shared: part("shared"), routed: part("routed"), balance: part("balance") };
}

/** A matrix that is stored [columns, in], as [1, 1, in, columns]. */
function transposed({ shape: [, columns, , inner], ...table }: TensorView): TensorView {
  return { ...table, shape: [1, 1, inner, columns], strides: [inner * columns, inner * columns, 1, inner] };
}
