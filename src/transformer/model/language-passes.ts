import type { AttentionContext } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import type { ModelConfig } from "../config/model-config.js";
import { ropeContext } from "../config/rope.js";
import type { ModelWeights } from "../weights/model-weights.js";
import { ForwardCache, type Lease } from "./forward-cache.js";
import { HookNames } from "./hook-names.js";
import { LanguageForward } from "./language-forward.js";
import { checkRoom } from "./room.js";
import type { SequenceState } from "./sequence-state.js";
import { type TokenBuffers, tokenBuffers } from "./token-buffers.js";
import type { Workspace } from "./workspace.js";

export interface PassShape {
  /** Of each sequence. */
  readonly tokens: number;
  /** Rows that get logits. */
  readonly logitsOf: "none" | "last" | "all";
  readonly phase: "prefill" | "decode";
  readonly hooks: readonly AttentionHook[];
  /** Tokens of the longest sequence afterwards. */
  readonly context: number;
}

/** A compiled pass with the buffers that it reads its tokens from. */
export interface LanguagePass extends TokenBuffers {
  readonly forward: LanguageForward;
  /** Of each sequence. */
  readonly tokens: number;
}

interface Parts {
  readonly ctx: AttentionContext;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly work: Workspace;
}

const KEPT_PASSES = 12;

/** The compiled passes of a language model. */
export class LanguagePasses {
  readonly #parts: Parts;
  readonly #cache = new ForwardCache<LanguagePass>(KEPT_PASSES);
  readonly #hookNames = new HookNames();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @param state whose sequences the pass is for; absent for one sequence without a past */
  lease(shape: PassShape, state?: SequenceState): Promise<Lease<LanguagePass>> {
    const { tokens, logitsOf, phase, hooks, context } = shape;
    const key = JSON.stringify([
      ...[tokens, logitsOf, ropeContext(this.#parts.config, context), state?.batches],
      ...[state?.capacity, state?.dtype, hooks.length > 0 && phase],
      this.#hookNames.of(hooks),
    ]);
    return this.#cache.lease(key, () => this.#plan(shape, state));
  }

  /**
   * Submits a pass over more tokens of a state, and what comes before and behind it, in one command buffer.
   *
   * @throws AttentionError "shape" when the tokens do not fit, "disposed", "device-lost"; the state is then as it was
   */
  run(
    pass: LanguagePass,
    state: SequenceState,
    around: Partial<Record<"before" | "after", (encoder: GPUCommandEncoder) => void>> = {},
  ): void {
    const { device } = this.#parts.ctx;
    const encoder = device.createCommandEncoder({ label: "language model" });
    const lengths = [...state.lengths];
    try {
      around.before?.(encoder);
      for (const [entry, length] of state.lengths.entries()) state.lengths[entry] = length + pass.tokens;
      checkRoom(state);
      device.queue.writeBuffer(pass.lengths, 0, Uint32Array.from(state.lengths));
      pass.forward.record(encoder, state);
      around.after?.(encoder);
      device.queue.submit([encoder.finish()]);
    } catch (error) {
      for (const [entry, length] of lengths.entries()) state.lengths[entry] = length;
      throw error;
    }
    state.turn = state.turn === 0 ? 1 : 0;
  }

  destroy(): void {
    this.#cache.destroy();
  }

  async #plan(shape: PassShape, state: SequenceState | undefined): Promise<LanguagePass> {
    const { tokens } = shape;
    const batches = state?.batches ?? 1;
    const buffers = tokenBuffers(this.#parts.ctx.device, batches, tokens);
    try {
      const forward = await LanguageForward.plan(
        {
          ...{ ...this.#parts, ...shape, batches, ids: buffers.ids, capacity: state?.capacity ?? tokens },
          ...(state && { lengths: buffers.lengths }),
        },
        state,
      );
      const destroy = () => {
        forward.destroy();
        buffers.destroy();
      };
      return { ...buffers, forward, tokens, destroy };
    } catch (error) {
      buffers.destroy();
      throw error;
    }
  }
}
