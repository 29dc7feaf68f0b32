import type { AttentionContext } from "webgpu-attention";

/** Whole words of a buffer with COPY_SRC usage. */
export async function wordsOf({ device }: AttentionContext, buffer: GPUBuffer): Promise<Uint32Array> {
  const copy = device.createBuffer({
    size: buffer.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const words = new Uint32Array(copy.getMappedRange().slice(0));
  copy.destroy();
  return words;
}
