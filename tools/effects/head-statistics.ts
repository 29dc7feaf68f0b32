import type { AttentionContext, Shape4, TensorLayout, TensorView } from "webgpu-attention";
import {
  type AttentionStatisticsPlan,
  planAttentionStatistics,
  type StatisticsOutputs,
  type StatisticsRequest,
} from "webgpu-attention/calibration";
import { type AttentionHook, type Head, headValues } from "webgpu-attention/hooks";
import { type ModelConfig, ropeTable, type SoftmaxConfig } from "webgpu-attention/transformer";

type Outputs = StatisticsOutputs<TensorView>;
type Name = keyof Outputs;

/** Statistics of all heads of a language model, found by a hook while it reads so many tokens. */
export class HeadStatistics {
  readonly #ctx: AttentionContext;
  readonly #plan: AttentionStatisticsPlan;
  readonly #outputs: readonly Outputs[];
  /** To be given to `logits`. */
  readonly hook: AttentionHook;

  private constructor(ctx: AttentionContext, plan: AttentionStatisticsPlan, layers: number) {
    this.#ctx = ctx;
    this.#plan = plan;
    this.#outputs = Array.from({ length: layers }, () => allocated(ctx, plan.outputs));
    this.hook = {
      after: ({ layer }, encoder, { q, k, lse }) =>
        plan.record(encoder, { q, k, lse, ...this.#outputs[layer]! }),
    };
  }

  /** @param model whose layers are alike */
  static async create(
    ctx: AttentionContext,
    { layers }: ModelConfig,
    tokens: number,
    statistics: StatisticsRequest,
  ): Promise<HeadStatistics> {
    const attention = layers[0]!.attention as SoftmaxConfig;
    const { heads, kvHeads, headDim, causal, scale, rope } = attention;
    const layout = (shape: Shape4): TensorLayout => ({ dtype: "f32", shape });
    const table = rope && ropeTable(rope, tokens);
    const plan = await planAttentionStatistics(ctx, {
      q: layout([1, tokens, heads, headDim]),
      k: layout([1, tokens, kvHeads, headDim]),
      lse: layout([1, tokens, heads, 1]),
      ...{ causal, scale, statistics },
      ...(table && {
        rope: { dim: rope.dim, interleaved: rope.interleaved, frequencies: table.frequencies },
      }),
    });
    return new HeadStatistics(ctx, plan, layers.length);
  }

  /** What the last pass left, of each head in (layer, head) order. */
  async read(name: Name): Promise<{ readonly head: Head; readonly values: Float64Array }[]> {
    const layers = await Promise.all(this.#outputs.map((outputs) => this.#ctx.read(outputs[name]!)));
    const { shape } = this.#outputs[0]![name]!;
    return layers.flatMap((values, layer) =>
      Array.from({ length: shape[2] }, (_, head) => ({
        head: { layer, head },
        values: headValues(values, shape, head),
      })),
    );
  }

  destroy(): void {
    this.#plan.destroy();
    for (const outputs of this.#outputs)
      for (const { buffer } of Object.values(outputs) as TensorView[]) buffer.destroy();
  }
}

/** Tensors of these layouts. */
function allocated(ctx: AttentionContext, layouts: StatisticsOutputs<TensorLayout>): Outputs {
  return Object.fromEntries(
    Object.entries(layouts).map(([name, layout]: [string, TensorLayout]) => [
      name,
      { ...layout, buffer: ctx.empty(layout.shape).buffer },
    ]),
  );
}
