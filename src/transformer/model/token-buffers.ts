/** What the host writes before each pass of so many sequences and tokens. */
export interface TokenBuffers {
  /** u32 [B, T] */
  readonly ids: GPUBuffer;
  /** u32 [B]: tokens in the caches after the pass. */
  readonly lengths: GPUBuffer;
  destroy(): void;
}

/** The values of `GPUBufferUsage`, which is not there where nobody has asked for a GPU yet. */
const USAGE = { COPY_SRC: 0x4, COPY_DST: 0x8, STORAGE: 0x80 } as const;

export function tokenBuffers(device: GPUDevice, batches: number, tokens: number): TokenBuffers {
  const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
  const ids = device.createBuffer({ size: 4 * batches * tokens, usage, label: "token ids" });
  const lengths = device.createBuffer({ size: 4 * batches, usage, label: "sequence lengths" });
  return {
    ids,
    lengths,
    destroy() {
      ids.destroy();
      lengths.destroy();
    },
  };
}
