import { BUFFER_USAGE } from "../buffer-usage.js";
/** What the host writes before each pass of so many sequences and tokens. */
export interface TokenBuffers {
  /** u32 [B, T] */
  readonly ids: GPUBuffer;
  /** u32 [B]: tokens in the caches after the pass. */
  readonly lengths: GPUBuffer;
  destroy(): void;
}

export function tokenBuffers(device: GPUDevice, batches: number, tokens: number): TokenBuffers {
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
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
