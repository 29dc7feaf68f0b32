/** Bytes handed to the queue that the GPU may not have taken yet: `writeBuffer` keeps a copy until then. */
const MOST_PENDING_BYTES = 32 * 2 ** 20;

/** Writes to buffers, and waits now and then, so that copies on their way stay bounded. */
export class UploadQueue {
  readonly #queue: GPUQueue;
  #pending = 0;
  /** Milliseconds spent here. */
  spentMs = 0;

  constructor(queue: GPUQueue) {
    this.#queue = queue;
  }

  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    if (data.byteLength === 0) return;
    const start = performance.now();
    this.#queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
    this.#pending += data.byteLength;
    this.spentMs += performance.now() - start;
  }

  /** Resolves at once, or when what was written has arrived. */
  async settle(all = false): Promise<void> {
    if (this.#pending < (all ? 1 : MOST_PENDING_BYTES)) return;
    const start = performance.now();
    await this.#queue.onSubmittedWorkDone();
    this.#pending = 0;
    this.spentMs += performance.now() - start;
  }
}
