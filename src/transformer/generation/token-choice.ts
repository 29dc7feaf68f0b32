import type { AttentionContext, TensorView } from "webgpu-attention";
import {
  type LayerPlan,
  planSampling,
  type SamplingOptions,
  type SamplingTensors,
} from "webgpu-attention/layers";
import { BUFFER_USAGE } from "../buffer-usage.js";

/** A token that there is not: of texts before this call nothing is known. */
const UNKNOWN = 0xffffffff;
const USAGE = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;

interface Start {
  readonly prompts: readonly ArrayLike<number>[];
  /** Tokens of each sequence before its prompt. */
  readonly before: readonly number[];
  readonly vocabulary: number;
  readonly sampling: SamplingOptions;
}

/** u32 [B, capacity], and the plan that knows it. */
interface Planned {
  readonly plan: LayerPlan<SamplingTensors>;
  readonly history?: { readonly buffer: GPUBuffer; readonly capacity: number };
}

/** Chooses the next token of each sequence on the GPU; where a penalty looks at the past, it keeps that. */
export class TokenChoice {
  readonly #ctx: AttentionContext;
  readonly #start: Start;
  #planned!: Planned;
  /** u32 [B]: the tokens that the next step reads, to begin with the prompts' last. */
  readonly ids: GPUBuffer;
  /** u32 [B]: tokens of each sequence. */
  readonly #totals: GPUBuffer;

  private constructor(ctx: AttentionContext, start: Start) {
    this.#ctx = ctx;
    this.#start = start;
    const words = start.prompts.length;
    this.ids = ctx.device.createBuffer({ size: 4 * words, usage: USAGE, label: "next tokens" });
    this.#totals = ctx.device.createBuffer({ size: 4 * words, usage: USAGE, label: "tokens of sequences" });
  }

  /** @throws AttentionError "shape" or "unsupported" for options that are none, "limit" */
  static async create(ctx: AttentionContext, start: Start): Promise<TokenChoice> {
    const { prompts, before, sampling } = start;
    const choice = new TokenChoice(ctx, start);
    try {
      const longest = Math.max(...prompts.map(({ length }, b) => before[b]! + length));
      choice.#planned = await choice.#plan(2 * longest, undefined);
    } catch (error) {
      for (const buffer of [choice.ids, choice.#totals]) buffer.destroy();
      throw error;
    }
    const { queue } = ctx.device;
    const lasts = prompts.map((prompt) => prompt[prompt.length - 1]!);
    queue.writeBuffer(choice.ids, 0, Uint32Array.from(lasts));
    const { history } = choice.#planned;
    if (!history || (sampling.repetitionPenalty ?? 1) === 1) return choice;
    prompts.forEach((prompt, b) => {
      queue.writeBuffer(history.buffer, 4 * (b * history.capacity + before[b]!), Uint32Array.from(prompt));
    });
    return choice;
  }

  /** Before each step. @param totals tokens of each sequence after it */
  async prepare(totals: readonly number[]): Promise<void> {
    this.#ctx.device.queue.writeBuffer(this.#totals, 0, Uint32Array.from(totals));
    const { history, plan } = this.#planned;
    if (!history || Math.max(...totals) < history.capacity) return;
    this.#planned = await this.#plan(2 * history.capacity, history);
    plan.destroy();
    history.buffer.destroy();
  }

  /** @param logits [B, 1, 1, vocabulary] */
  record(encoder: GPUCommandEncoder, logits: TensorView): void {
    this.#planned.plan.record(encoder, { logits, ids: this.ids });
  }

  destroy(): void {
    this.#planned.plan.destroy();
    for (const buffer of [this.ids, this.#totals, this.#planned.history?.buffer]) buffer?.destroy();
  }

  async #plan(capacity: number, past: Planned["history"]): Promise<Planned> {
    const { prompts, vocabulary, sampling } = this.#start;
    const logits = { dtype: "f32", shape: [prompts.length, 1, 1, vocabulary] } as const;
    const looksBack = (sampling.repetitionPenalty ?? 1) !== 1;
    const history = looksBack ? { buffer: this.#makeHistory(capacity, past), capacity } : undefined;
    try {
      const given = { logits, lengths: this.#totals, ...(history && { history }) };
      return { plan: await planSampling(this.#ctx, { ...sampling, ...given }), ...(history && { history }) };
    } catch (error) {
      history?.buffer.destroy();
      throw error;
    }
  }

  #makeHistory(capacity: number, past: Planned["history"]): GPUBuffer {
    const { device } = this.#ctx;
    const batches = this.#start.prompts.length;
    const buffer = device.createBuffer({
      size: 4 * batches * capacity,
      usage: USAGE,
      label: "tokens so far",
    });
    if (!past) {
      device.queue.writeBuffer(buffer, 0, new Uint32Array(batches * capacity).fill(UNKNOWN));
      return buffer;
    }
    const encoder = device.createCommandEncoder({ label: "tokens so far" });
    for (let b = 0; b < batches; b++)
      encoder.copyBufferToBuffer(
        ...([past.buffer, 4 * b * past.capacity, buffer, 4 * b * capacity, 4 * past.capacity] as const),
      );
    device.queue.submit([encoder.finish()]);
    return buffer;
  }
}
