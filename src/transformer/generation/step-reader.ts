import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { BUFFER_USAGE } from "../buffer-usage.js";

/** The value of `GPUMapMode.READ`. */
const READ = 0x1;

/** What a step left. */
export interface StepResult {
  /** [rows] */
  readonly ids: Uint32Array;
  /** [rows, vocabulary], where they are asked for. */
  readonly logits: Float32Array;
}

/**
 * Brings tokens, and logits where they are wanted, back while the next step is computed: buffers in turn, made once. At most `depth` copies may be
 * recorded that have not been read.
 */
export class StepReader {
  readonly #ctx: AttentionContext;
  readonly #buffers: readonly GPUBuffer[];
  readonly #rows: number;
  #written = 0;
  #read = 0;

  /** @param logits how many of each row come back, 0 for none */
  constructor(ctx: AttentionContext, rows: number, { logits, depth }: { logits: number; depth: number }) {
    const usage = BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST;
    const size = 4 * rows * (1 + logits);
    this.#ctx = ctx;
    this.#rows = rows;
    this.#buffers = Array.from({ length: depth }, () =>
      ctx.device.createBuffer({ size, usage, label: "what a step left" }),
    );
  }

  /** Steps recorded and not read. */
  get waiting(): number {
    return this.#written - this.#read;
  }

  /** @param logits dense, read where they were asked for */
  record(encoder: GPUCommandEncoder, ids: GPUBuffer, logits: TensorView): void {
    const buffer = this.#buffers[this.#written++ % this.#buffers.length]!;
    const bytes = 4 * this.#rows;
    encoder.copyBufferToBuffer(ids, 0, buffer, 0, bytes);
    if (buffer.size > bytes) encoder.copyBufferToBuffer(logits.buffer, 0, buffer, bytes, buffer.size - bytes);
  }

  /**
   * What the step left that was recorded first.
   *
   * @throws AttentionError "disposed", "device-lost"
   */
  async next(): Promise<StepResult> {
    const buffer = this.#buffers[this.#read++ % this.#buffers.length]!;
    try {
      await buffer.mapAsync(READ);
    } catch (cause) {
      await this.#ctx.assertAlive();
      throw new AttentionError("disposed", {
        ...{ subject: "tokens", expected: "buffers that are still there", got: String(cause) },
        fix: "Destroy models and states when nothing works with them any more.",
        cause,
      });
    }
    const bytes = buffer.getMappedRange().slice(0);
    buffer.unmap();
    return {
      ids: new Uint32Array(bytes, 0, this.#rows),
      logits: new Float32Array(bytes, 4 * this.#rows),
    };
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
