import type { TensorView } from "webgpu-attention";
import { planEmbedding, planMatmul } from "webgpu-attention/layers";
import { wholeSite } from "./announce.js";
import type { EncoderOutput } from "./encoder-outputs.js";
import { EncoderSteps } from "./encoder-steps.js";
import { planLayer, planNorm } from "./layer.js";
import { type ForwardContext, linearWeights, rows } from "./layer-context.js";
import { planSteps, type Step, stepOf } from "./step.js";

export interface TextEncoderForwardOptions extends ForwardContext {
  /** u32 [B, T], filled in before each run; likewise the types of tokens. */
  readonly ids: GPUBuffer;
  readonly typeIds: GPUBuffer;
}

/** What an encoder of texts makes of a batch. */
export interface TextEncoderOutputs {
  /** [B, T, 1, width] */
  readonly hidden: TensorView;
  /** [B, 1, 1, width], where the model has a pooler. */
  readonly pooled?: TensorView;
  /** [B, T, 1, vocabulary] of a masked-language head, [B, 1, 1, labels] of a classifier. */
  readonly logits?: TensorView;
}

/** A forward pass of a BERT for one number of sequences and tokens, compiled. */
export class TextEncoderForward {
  readonly #steps: EncoderSteps;
  /** Until the next pass. */
  readonly outputs: TextEncoderOutputs;

  private constructor(steps: EncoderSteps, outputs: TextEncoderOutputs) {
    this.#steps = steps;
    this.outputs = outputs;
  }

  static async plan(options: TextEncoderForwardOptions): Promise<TextEncoderForward> {
    const { config, weights, work, batches, tokens } = options;
    const { width, head } = config;
    const hidden = rows(options, "stream", width);
    const pooled = weights.has("pooler") ? work.view("pooled", [batches, 1, 1, width]) : undefined;
    const body = [
      planEmbed(options),
      planNorm(options, "embeddingNorm", rows(options, "branch", width), hidden),
      ...config.layers.map(({ attention: { mechanism } }, layer) => {
        const site = wholeSite(layer, mechanism, tokens);
        return planLayer({ ...options, index: layer, site }, undefined);
      }),
    ];
    const heads: Promise<Step[]>[] = [];
    let logits: TensorView | undefined;
    if (head.kind === "classifier") {
      logits = work.view("logits", [batches, 1, 1, head.labels.length]);
      heads.push(planProduct(options, "head", pooled!, logits));
    } else if (head.kind === "masked-language") {
      logits = work.view("logits", [batches, tokens, 1, config.tokens!.vocabulary]);
      heads.push(...planWords(options, hidden, logits));
    }
    const steps = await EncoderSteps.plan(body, {
      // The stream itself.
      hidden: [],
      pooled: pooled ? [planPooler(options, hidden, pooled)] : [],
      logits: heads,
    });
    return new TextEncoderForward(steps, {
      hidden,
      ...(pooled && { pooled }),
      ...(logits && { logits }),
    });
  }

  /** A classifier reads the pooler's output, which is then computed as well. */
  record(encoder: GPUCommandEncoder, wanted: ReadonlySet<EncoderOutput>): void {
    const needsPooler = this.outputs.pooled && wanted.has("logits");
    this.#steps.record(encoder, needsPooler ? new Set([...wanted, "pooled"]) : wanted);
  }

  destroy(): void {
    this.#steps.destroy();
  }
}

/** Words, positions and types, into "branch". */
async function planEmbed(options: TextEncoderForwardOptions): Promise<Step[]> {
  const { ctx, config, weights, batches, tokens, ids, typeIds } = options;
  const [positions, types] = [weights.view("positions"), weights.view("tokenTypes")];
  const out = rows(options, "branch", config.width);
  const table = weights.matrices("embedding")[0]!;
  const plan = await planEmbedding(ctx, { batches, tokens, table, positions, types, out });
  return [stepOf(plan, { ids, typeIds, positions, types, out })];
}

/** tanh of a product of the first token. */
function planPooler(options: ForwardContext, hidden: TensorView, pooled: TensorView): Promise<Step[]> {
  const { config, tokens } = options;
  const x: TensorView = {
    ...hidden,
    shape: pooled.shape,
    strides: [tokens * config.width, config.width, config.width, 1],
  };
  return planProduct(options, "pooler", x, pooled, "tanh");
}

function planProduct(
  options: ForwardContext,
  slot: string,
  x: TensorView,
  out: TensorView,
  activation: "none" | "tanh" = "none",
): Promise<Step[]> {
  const plan = planMatmul(options.ctx, { x, out, activation, ...linearWeights(options, slot) });
  return planSteps([plan.then((made) => stepOf(made, { x, out }))]);
}

/** Logits of all words: a product and a norm, then the embedding as matrix. */
function planWords(options: ForwardContext, hidden: TensorView, logits: TensorView): Promise<Step[]>[] {
  const { ctx, config, weights } = options;
  const { head, width } = config;
  const [wide, normed] = [rows(options, "transformed", width), rows(options, "normed", width)];
  const activation = head.kind === "masked-language" ? head.activation : "none";
  const transform = planMatmul(ctx, {
    ...{ x: hidden, out: wide, activation },
    ...linearWeights(options, "transform"),
  });
  const words = planMatmul(ctx, {
    ...{ x: normed, out: logits, weight: weights.matrices("embedding"), bias: weights.view("head.bias") },
  });
  return [
    planSteps([transform.then((plan) => stepOf(plan, { x: hidden, out: wide }))]),
    planNorm(options, "transformNorm", wide, normed),
    planSteps([words.then((plan) => stepOf(plan, { x: normed, out: logits }))]),
  ];
}
