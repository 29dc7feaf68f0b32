import { BufferUsage } from "./buffer-usage.js";
import { checkUsage } from "./check.js";
import type { AttentionContext } from "./context.js";

/**
 * What `use` makes of a range of a buffer. Submits a copy and waits for it.
 *
 * @param subject what to call the buffer's usage in messages
 * @param use gets the bytes while they are mapped: what outlives it has to be a copy
 * @throws AttentionError "unsupported" without COPY_SRC usage, "disposed", "device-lost"
 */
export async function readBack<Result>(
  ctx: AttentionContext,
  subject: string,
  { buffer, offset, size }: { readonly buffer: GPUBuffer; readonly offset: number; readonly size: number },
  use: (bytes: ArrayBuffer) => Result,
): Promise<Result> {
  checkUsage(subject, buffer, "COPY_SRC");
  const readable = ctx.device.createBuffer({ size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST });
  try {
    await ctx.submitChecked((encoder) => encoder.copyBufferToBuffer(buffer, offset, readable, 0, size));
    await readable.mapAsync(1 /* READ */);
    return use(readable.getMappedRange());
  } catch (error) {
    await ctx.assertAlive();
    throw error;
  } finally {
    readable.destroy();
  }
}

/** The first `count` u32 words of a buffer, as `readBack`. */
export function readWords(
  ctx: AttentionContext,
  buffer: GPUBuffer,
  count: number,
): Promise<Uint32Array<ArrayBuffer>> {
  const range = { buffer, offset: 0, size: 4 * count };
  return readBack(ctx, "buffer usage", range, (bytes) => new Uint32Array(bytes.slice(0)));
}
