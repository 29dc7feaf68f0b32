import { BufferUsage } from "./buffer-usage.js";
import { fail } from "./check.js";
import type { AttentionContext } from "./context.js";

/**
 * The first `count` u32 words of a buffer. Submits a copy and waits for it.
 *
 * @throws AttentionError "unsupported" without COPY_SRC usage, "disposed", "device-lost"
 */
export async function readWords(
  ctx: AttentionContext,
  buffer: GPUBuffer,
  count: number,
): Promise<Uint32Array<ArrayBuffer>> {
  if (!(buffer.usage & BufferUsage.COPY_SRC))
    fail(
      "unsupported",
      "buffer usage",
      `GPUBufferUsage.COPY_SRC (${BufferUsage.COPY_SRC})`,
      `usage ${buffer.usage}`,
      "Create the buffer with GPUBufferUsage.COPY_SRC added to its usage.",
    );
  const size = 4 * count;
  const readable = ctx.device.createBuffer({ size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST });
  try {
    await ctx.submitChecked((encoder) => encoder.copyBufferToBuffer(buffer, 0, readable, 0, size));
    await readable.mapAsync(1 /* READ */);
    return new Uint32Array(readable.getMappedRange().slice(0));
  } catch (error) {
    await ctx.assertAlive();
    throw error;
  } finally {
    readable.destroy();
  }
}
