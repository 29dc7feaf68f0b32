/** GPU buffers of one case: inputs as the file has them, outputs full of NaN so that an unwritten element shows. */
export class CaseBuffers {
  readonly #device: GPUDevice;
  readonly #buffers: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Uploads values as f32 in the order given. */
  upload(values: ArrayLike<number>): GPUBuffer {
    const data = Float32Array.from(values);
    const buffer = this.#device.createBuffer({
      size: Math.max(4, data.byteLength),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#buffers.push(buffer);
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  /** @param count f32 elements */
  nan(count: number): GPUBuffer {
    return this.upload(new Float32Array(count).fill(Number.NaN));
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
