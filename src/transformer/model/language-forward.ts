import type { TensorView } from "webgpu-attention";
import type { AttentionSite } from "webgpu-attention/hooks";
import { planEmbedding, planMatmul, sinusoidalPositions } from "webgpu-attention/layers";
import { announce, siteMechanism } from "./announce.js";
import { planLayer } from "./layer.js";
import { type ForwardContext, linearWeights, normOptions, rows } from "./layer-context.js";
import type { SequenceState } from "./sequence-state.js";
import type { SinkSearch } from "./sink-search.js";
import { planSteps, type Step, stepOf } from "./step.js";
import { type StepCost, StepList, sumSteps } from "./step-list.js";

export interface LanguageForwardOptions extends ForwardContext {
  /** u32 [B, T], filled in before each run. */
  readonly ids: GPUBuffer;
  /** Rows that get logits. */
  readonly logitsOf: "none" | "last" | "all";
  readonly phase: "prefill" | "decode";
}

/** A site whose positions are those of the run that is recorded. */
type MovingSite = { -readonly [Key in keyof AttentionSite]: AttentionSite[Key] };

/** A forward pass of a language model for one number of sequences and tokens, compiled. */
export class LanguageForward {
  readonly #steps: StepList;
  readonly #sites: readonly MovingSite[];
  readonly #tokens: number;
  /** [B, 1 or T, 1, vocabulary], until the next pass. */
  readonly logits: TensorView | undefined;
  readonly cost: StepCost;
  /** Of each layer. */
  readonly layers: readonly StepCost[];
  /** By layer, what hooks find sinks by that a state keeps. */
  readonly sinkSearches: ReadonlyMap<number, SinkSearch>;

  private constructor(
    steps: readonly Step[],
    layers: readonly StepCost[],
    sites: readonly MovingSite[],
    tokens: number,
    logits: TensorView | undefined,
    sinkSearches: ReadonlyMap<number, SinkSearch>,
  ) {
    this.#steps = new StepList(steps);
    const { dispatches, cost } = this.#steps;
    this.cost = { dispatches, cost };
    this.layers = layers;
    this.#sites = sites;
    this.#tokens = tokens;
    this.logits = logits;
    this.sinkSearches = sinkSearches;
  }

  static async plan(
    options: LanguageForwardOptions,
    state: SequenceState | undefined,
  ): Promise<LanguageForward> {
    const { config, work, batches, tokens, logitsOf, phase } = options;
    const rowsOfLogits = { none: 0, last: 1, all: tokens }[logitsOf];
    const logits =
      rowsOfLogits > 0
        ? work.view("logits", [batches, rowsOfLogits, 1, config.tokens!.vocabulary])
        : undefined;
    const sites = config.layers.map(
      ({ attention }, layer): MovingSite => ({
        ...{ layer, mechanism: siteMechanism(attention.mechanism), phase, positions: [0, tokens] },
      }),
    );
    const layers: StepCost[] = [];
    const attentionPlans = new Map();
    const sinkSearches = new Map<number, SinkSearch>();
    const steps = await planSteps([
      planEmbed(options),
      ...sites.map(async (site, index) => {
        const own = await planLayer({ ...options, index, site, attentionPlans, sinkSearches }, state);
        layers[index] = sumSteps(own);
        return own;
      }),
      ...(logits ? [planHead(options, logits), announceLogits(options, sites.at(-1)!, logits)] : []),
    ]);
    return new LanguageForward(steps, layers, sites, tokens, logits, sinkSearches);
  }

  record(encoder: GPUCommandEncoder, state: SequenceState | undefined): void {
    const end = state ? Math.max(...state.lengths) : this.#tokens;
    for (const site of this.#sites) site.positions = [end - this.#tokens, end];
    this.#steps.record(encoder, state);
  }

  destroy(): void {
    this.#steps.destroy();
  }
}

/** To hooks, as an activation of the last layer's site. */
async function announceLogits(
  { hooks }: LanguageForwardOptions,
  site: AttentionSite,
  logits: TensorView,
): Promise<Step[]> {
  return announce({ hooks, site }, "logits", logits);
}

/** Token embeddings, and positions where the model adds some, into "stream". */
async function planEmbed(options: LanguageForwardOptions): Promise<Step[]> {
  const { ctx, config, weights, batches, tokens, ids, totals } = options;
  const table = weights.matrices("embedding")[0]!;
  const positions = positionTable(options);
  const out = rows(options, "stream", config.width);
  const plan = await planEmbedding(ctx, {
    ...{ batches, tokens, table, out, scale: config.tokens!.embeddingScale },
    ...(positions && { positions }),
    ...(totals && { lengths: totals }),
  });
  return [stepOf(plan, { ids, out, ...(positions && { positions }) })];
}

function positionTable({
  ctx,
  config,
  weights,
  work,
  capacity,
}: LanguageForwardOptions): TensorView | undefined {
  const { positions, width } = config;
  if (positions.kind === "learned") return weights.view("positions");
  if (positions.kind === "none") return undefined;
  const { base, scale } = positions;
  const rates = Float64Array.from({ length: width / 2 }, (_, n) => base ** ((-2 * n) / width));
  const count = Math.max(config.context, capacity);
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
