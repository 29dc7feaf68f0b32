import { AttentionError } from "webgpu-attention";
import { BUFFER_USAGE } from "../buffer-usage.js";

/** The value of `GPUMapMode.READ`. */
const READ = 0x1;

/**
 * Brings token ids back while the next step is computed: buffers in turn, made once. At most `depth` copies may be recorded that have not
 * been read.
 */
export class TokenReader {
  readonly #buffers: readonly GPUBuffer[];
  readonly #count: number;
  #written = 0;
  #read = 0;

  constructor(device: GPUDevice, count: number, depth: number) {
    const usage = BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST;
    const make = () => device.createBuffer({ size: 4 * count, usage, label: "token ids" });
    this.#buffers = Array.from({ length: depth }, make);
    this.#count = count;
  }

  /** Steps recorded and not read. */
  get waiting(): number {
    return this.#written - this.#read;
  }

  record(encoder: GPUCommandEncoder, ids: GPUBuffer): void {
    const buffer = this.#buffers[this.#written++ % this.#buffers.length]!;
    encoder.copyBufferToBuffer(ids, 0, buffer, 0, 4 * this.#count);
  }

  /**
   * Ids of the step that was recorded first.
   *
   * @throws AttentionError "device-lost"
   */
  async next(): Promise<Uint32Array> {
    const buffer = this.#buffers[this.#read++ % this.#buffers.length]!;
    try {
      await buffer.mapAsync(READ);
    } catch (cause) {
      throw new AttentionError("device-lost", {
        subject: "token ids",
        expected: "a device that is still there",
        got: String(cause),
        fix: "Request a new device and load the model again.",
        cause,
      });
    }
    const ids = new Uint32Array(buffer.getMappedRange().slice(0));
    buffer.unmap();
    return ids;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
