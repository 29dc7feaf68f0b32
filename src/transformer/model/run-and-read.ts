import type { AttentionContext, TensorView } from "webgpu-attention";

/**
 * Submits a pass and reads what it leaves. Passes share buffers: copies are made in the pass's own command buffer, so that no other pass comes
 * between, and `record` writes the inputs itself.
 *
 * @param outputs dense f32 views from the beginning of their buffers
 * @throws AttentionError "limit", "disposed", "device-lost"
 */
export async function runAndRead(
  ctx: AttentionContext,
  outputs: readonly TensorView[],
  record: (encoder: GPUCommandEncoder) => void,
): Promise<Float32Array[]> {
  const copies = outputs.map(({ shape }) => ctx.empty(shape));
  try {
    await ctx.submitChecked((encoder) => {
      record(encoder);
      for (const [n, { buffer }] of outputs.entries()) {
        const copy = copies[n]!.buffer;
        encoder.copyBufferToBuffer(buffer, 0, copy, 0, copy.size);
      }
    });
    return await Promise.all(copies.map((copy) => ctx.read(copy)));
  } finally {
    for (const { buffer } of copies) buffer.destroy();
  }
}
