import type { PassCost, TensorView } from "webgpu-attention";
import { planEmbedding, planMatmul, sinusoidalPositions } from "webgpu-attention/layers";
import { announce } from "./announce.js";
import { planLayer } from "./layer.js";
import { type ForwardContext, linearWeights, normOptions, rows } from "./layer-context.js";
import type { SequenceState } from "./sequence-state.js";
import { planSteps, type Step, stepOf } from "./step.js";

export interface LanguageForwardOptions extends ForwardContext {
  /** u32 [B, T], filled in before each run. */
  readonly ids: GPUBuffer;
  /** Rows that get logits. */
  readonly logitsOf: "last" | "all";
}

/** A forward pass of a language model for one number of sequences and tokens, compiled. */
export class LanguageForward {
  readonly #steps: readonly Step[];
  /** [B, 1 or T, 1, vocabulary], until the next pass. */
  readonly logits: TensorView;
  readonly cost: PassCost;
  readonly dispatches: number;

  private constructor(steps: readonly Step[], logits: TensorView) {
    this.#steps = steps;
    this.logits = logits;
    const sum = (of: (step: Step) => number) => steps.reduce((total, step) => total + of(step), 0);
    this.cost = { flops: sum(({ cost }) => cost.flops), bytes: sum(({ cost }) => cost.bytes) };
    this.dispatches = sum(({ dispatches }) => dispatches);
  }

  static async plan(
    options: LanguageForwardOptions,
    state: SequenceState | undefined,
  ): Promise<LanguageForward> {
    const { config, work, batches, tokens, logitsOf } = options;
    const { vocabulary } = config.tokens!;
    const logits = work.view("logits", [batches, logitsOf === "all" ? tokens : 1, 1, vocabulary]);
    const mechanisms = config.layers.map(({ attention }) => attention.mechanism);
    const steps = await planSteps([
      planEmbed(options),
      ...mechanisms.map((mechanism, index) =>
        planLayer(
          {
            ...options,
            index,
            site: siteOf(index, mechanism, tokens),
          },
          state,
        ),
      ),
      planHead(options, logits),
      announceLogits(options, logits),
    ]);
    return new LanguageForward(steps, logits);
  }

  record(encoder: GPUCommandEncoder, state: SequenceState | undefined): void {
    for (const step of this.#steps) step.record(encoder, state);
  }

  destroy(): void {
    for (const step of this.#steps) step.destroy();
  }
}

function siteOf(layer: number, mechanism: string, tokens: number) {
  return {
    layer,
    mechanism: mechanism === "sale" || mechanism === "moh" ? "softmax" : mechanism,
    phase: tokens > 1 ? ("prefill" as const) : ("decode" as const),
    positions: [0, tokens] as const,
  };
}

/** To hooks, as an activation of the last layer's site. */
async function announceLogits(options: LanguageForwardOptions, logits: TensorView): Promise<Step[]> {
  const { config, hooks, tokens } = options;
  const last = config.layers.length - 1;
  const site = siteOf(last, config.layers[last]!.attention.mechanism, tokens);
  return announce({ hooks, site }, "logits", logits);
}

/** Token embeddings, and positions where the model adds some, into "stream". */
async function planEmbed(options: LanguageForwardOptions): Promise<Step[]> {
  const { ctx, config, weights, batches, tokens, ids, lengths } = options;
  const table = weights.matrices("embedding")[0]!;
  const positions = positionTable(options);
  const out = rows(options, "stream", config.width);
  const plan = await planEmbedding(ctx, {
    ...{ batches, tokens, table, out, scale: config.tokens!.embeddingScale },
    ...(positions && { positions }),
    ...(lengths && { lengths }),
  });
  return [stepOf(plan, { ids, out, ...(positions && { positions }) })];
}

function positionTable({
  ctx,
  config,
  weights,
  work,
  context,
}: LanguageForwardOptions): TensorView | undefined {
  const { positions, width } = config;
  if (positions.kind === "learned") return weights.view("positions");
  if (positions.kind === "none") return undefined;
  const { base, scale } = positions;
  const rates = Float64Array.from({ length: width / 2 }, (_, n) => base ** ((-2 * n) / width));
  const count = Math.max(config.context, context);
  const view = work.view(`positions ${count}`, [1, count, 1, width]);
  const signal = sinusoidalPositions(rates, count).map((value) => value * scale);
  ctx.device.queue.writeBuffer(view.buffer, 0, signal);
  return view;
}

async function planHead(options: LanguageForwardOptions, logits: TensorView): Promise<Step[]> {
  const { ctx, config, batches, tokens, logitsOf } = options;
  const stream = rows(options, "stream", config.width);
  const x: TensorView =
    logitsOf === "all"
      ? stream
      : {
          ...stream,
          shape: [batches, 1, 1, config.width],
          strides: [tokens * config.width, config.width, config.width, 1],
          offset: (tokens - 1) * config.width,
        };
  const isTied = config.head.kind === "language" && config.head.tied;
  const plan = await planMatmul(ctx, {
    ...{ x, out: logits, norm: normOptions(options, "norm") },
    ...linearWeights(options, isTied ? "embedding" : "head"),
  });
  return [stepOf(plan, { x, out: logits })];
}
