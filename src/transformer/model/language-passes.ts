import type { AttentionContext } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import { BUFFER_USAGE } from "../buffer-usage.js";
import type { ModelConfig } from "../config/model-config.js";
import { ropeContext } from "../config/rope.js";
import type { ModelWeights } from "../weights/model-weights.js";
import { ForwardCache, type Lease } from "./forward-cache.js";
import { HookNames } from "./hook-names.js";
import { LanguageForward } from "./language-forward.js";
import { turnOf } from "./layer-state.js";
import { planWithBuffers } from "./model-runtime.js";
import { checkRoom, destroyedModel } from "./room.js";
import type { SequenceState } from "./sequence-state.js";
import { type Activations, planWith, type Workspace } from "./workspace.js";

export interface PassShape {
  /** Of each sequence. */
  readonly tokens: number;
  /** Rows that get logits. */
  readonly logitsOf: "none" | "last" | "all";
  readonly phase: "prefill" | "decode";
  /** Whether the rows are the whole text so far. */
  readonly isWhole: boolean;
  readonly hooks: readonly AttentionHook[];
  /** Tokens of the longest sequence afterwards, as far as it is kept. */
  readonly context: number;
  /** All its tokens. Default as many as are kept. */
  readonly total?: number;
}

/** A compiled pass with the buffers that the host fills in before each run. */
export interface LanguagePass {
  readonly forward: LanguageForward;
  /** Of each sequence. */
  readonly tokens: number;
  /** u32 [B, T] */
  readonly ids: GPUBuffer;
  /** u32 [B]: tokens in the caches after the pass. */
  readonly lengths: GPUBuffer;
  /** u32 [B]: tokens of the sequences after it, whatever the caches have forgotten. */
  readonly totals: GPUBuffer;
  /** Caches with which it has run. */
  readonly known: WeakSet<object>;
  destroy(): void;
}

interface Parts {
  readonly ctx: AttentionContext;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly work: Workspace;
}

/** Pieces of a prompt have eight sizes. */
const KEPT_PASSES = 20;

/** The compiled passes of a language model. */
export class LanguagePasses {
  readonly #parts: Parts;
  readonly #cache = new ForwardCache<LanguagePass>(KEPT_PASSES);
  readonly #hookNames = new HookNames();
  #destroyed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * @param state whose sequences the pass is for; absent for one sequence without a past
   * @throws AttentionError "disposed"
   */
  async lease(shape: PassShape, state?: SequenceState): Promise<Lease<LanguagePass>> {
    if (this.#destroyed) throw destroyedModel();
    const { config } = this.#parts;
    const { tokens, logitsOf, phase, isWhole, hooks, context, total = context } = shape;
    const key = JSON.stringify([
      ...[tokens, logitsOf, ropeContext(config, context), positionRows(config, total)],
      ...[state?.batches, state?.capacity, state?.dtype, hooks.length > 0 && phase, isWhole],
      this.#hookNames.of(hooks),
    ]);
    return this.#cache.lease(key, () =>
      planWith(this.#parts.work, (work) => this.#plan({ ...shape, total }, state, work)),
    );
  }

  /**
   * Submits a pass over more tokens of a state, and what comes before and behind it, in one command buffer. The first run of a pass with a state's
   * buffers waits for what the driver says about them.
   *
   * @param around.before fills in the pass's ids, in its commands or at once
   * @throws AttentionError "shape" when the tokens do not fit, "limit", "disposed", "device-lost"; the state is then as it was
   */
  async run(
    pass: LanguagePass,
    state: SequenceState,
    around: Partial<Record<"before" | "after", (encoder: GPUCommandEncoder) => void>> = {},
  ): Promise<void> {
    if (this.#destroyed) throw destroyedModel();
    const { ctx } = this.#parts;
    const { device } = ctx;
    const { sinkSearches } = pass.forward;
    state.assertAlive();
    await state.prepareSinks(sinkSearches);
    const standing = state.standing;
    // From here to the end of recording nothing waits: passes are shared, and others write to the same buffers before they are submitted.
    const record = (encoder: GPUCommandEncoder) => {
      state.noteSinks(sinkSearches);
      around.before?.(encoder);
      state.advance(pass.tokens);
      checkRoom(state);
      device.queue.writeBuffer(pass.lengths, 0, Uint32Array.from(state.lengths));
      device.queue.writeBuffer(pass.totals, 0, Uint32Array.from(state.totals));
      pass.forward.record(encoder, state);
      around.after?.(encoder);
      state.turn = turnOf(standing.turn, 1);
    };
    try {
      if (pass.known.has(state.layers)) {
        const encoder = device.createCommandEncoder({ label: "language model" });
        record(encoder);
        device.queue.submit([encoder.finish()]);
      } else {
        await ctx.submitChecked(record);
        pass.known.add(state.layers);
      }
    } catch (error) {
      state.restore(standing);
      throw error;
    }
  }

  destroy(): void {
    this.#destroyed = true;
    this.#cache.destroy();
  }

  #plan(
    { total, ...shape }: PassShape & { readonly total: number },
    state: SequenceState | undefined,
    work: Activations,
  ): Promise<LanguagePass> {
    const { ctx, config, weights } = this.#parts;
    const { tokens } = shape;
    const batches = state?.batches ?? 1;
    const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
    const words = (count: number, label: string) =>
      ctx.device.createBuffer({ size: 4 * count, usage, label });
    const ids = words(batches * tokens, "token ids");
    const [lengths, totals] = [words(batches, "sequence lengths"), words(batches, "tokens of sequences")];
    const given = { tokens, ids, lengths, totals, known: new WeakSet<object>() };
    return planWithBuffers(given, [ids, lengths, totals], () =>
      LanguageForward.plan(
        {
          ...{ ctx, config, weights, work, ...shape, batches, ids, capacity: positionRows(config, total) },
          ...(state && { lengths, totals }),
        },
        state,
      ),
    );
  }
}

/** Rows of a table of sinusoids that texts of so many tokens need, in steps that few passes differ by. */
function positionRows({ positions, context }: ModelConfig, tokens: number): number {
  return positions.kind === "sinusoidal" ? Math.max(context, 2 ** Math.ceil(Math.log2(tokens))) : 0;
}
