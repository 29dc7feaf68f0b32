import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import type { ModelConfig } from "../config/model-config.js";
import { type LoadCheckpointOptions, loadAccepted } from "../load-checkpoint.js";
import type { ModelSource } from "../sources/model-files.js";
import type { ModelWeights } from "../weights/model-weights.js";
import { ForwardCache } from "./forward-cache.js";
import { HookNames } from "./hook-names.js";
import type { ForwardContext } from "./layer-context.js";
import { destroyedModel } from "./room.js";
import { planWith, Workspace } from "./workspace.js";

/** A compiled pass, with what it is given. */
interface Pass {
  destroy(): void;
}

/** Sizes of a pass over whole inputs. */
interface PassSizes {
  readonly batches: number;
  readonly tokens: number;
  readonly hooks: readonly AttentionHook[];
}

interface ModelKind {
  /** What the class runs. */
  readonly expected: string;
  /** Undefined for a model that it does run, else what came. */
  readonly mismatch: (config: ModelConfig) => string | undefined;
  readonly keptPasses: number;
}

/** What models that take whole inputs have in common: weights, shared buffers and compiled passes. */
export class ModelRuntime<Planned extends Pass> {
  readonly ctx: AttentionContext;
  readonly config: ModelConfig;
  readonly #weights: ModelWeights;
  readonly #work: Workspace;
  readonly #passes: ForwardCache<Planned>;
  readonly #hookNames = new HookNames();
  #destroyed = false;

  private constructor(ctx: AttentionContext, config: ModelConfig, weights: ModelWeights, keptPasses: number) {
    this.ctx = ctx;
    this.config = config;
    this.#weights = weights;
    this.#work = new Workspace(ctx);
    this.#passes = new ForwardCache(keptPasses);
  }

  /** @throws AttentionError as `loadCheckpoint`; "unsupported" for models of another kind */
  static async load<Planned extends Pass>(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadCheckpointOptions,
    { expected, mismatch, keptPasses }: ModelKind,
  ): Promise<ModelRuntime<Planned>> {
    const { config, weights } = await loadAccepted(ctx, source, options, (config) => {
      const got = mismatch(config);
      if (got === undefined) return;
      throw new AttentionError("unsupported", {
        subject: config.architecture,
        ...{ expected, got },
        fix: "Load it as what it is.",
      });
    });
    return new ModelRuntime(ctx, config, weights, keptPasses);
  }

  /** Bytes of GPU memory: weights, and what passes hand from step to step. */
  get bytes(): number {
    return this.#weights.bytes + this.#work.bytes;
  }

  /** Uses the pass of these sizes, which `plan` makes where there is none yet. */
  with<Result>(
    sizes: PassSizes,
    plan: (context: ForwardContext) => Promise<Planned>,
    use: (pass: Planned) => Promise<Result>,
  ): Promise<Result> {
    const { ctx, config } = this;
    const key = JSON.stringify([sizes.batches, sizes.tokens, this.#hookNames.of(sizes.hooks)]);
    const whole = { context: sizes.tokens, capacity: sizes.tokens };
    const context = { ctx, config, weights: this.#weights, ...sizes, ...whole };
    if (this.#destroyed) return Promise.reject(destroyedModel());
    return this.#passes.with(key, () => planWith(this.#work, (work) => plan({ ...context, work })), use);
  }

  destroy(): void {
    this.#destroyed = true;
    this.#passes.destroy();
    this.#work.destroy();
    this.#weights.destroy();
  }
}

/** A forward pass and the buffers that it is given: they go together, or with the failure to plan it. */
export async function planWithBuffers<Given extends object, Forward extends Pass>(
  given: Given,
  buffers: readonly GPUBuffer[],
  plan: () => Promise<Forward>,
): Promise<Given & { readonly forward: Forward; destroy(): void }> {
  const free = () => {
    for (const buffer of buffers) buffer.destroy();
  };
  try {
    const forward = await plan();
    const destroy = () => {
      forward.destroy();
      free();
    };
    return { ...given, forward, destroy };
  } catch (error) {
    free();
    throw error;
  }
}
