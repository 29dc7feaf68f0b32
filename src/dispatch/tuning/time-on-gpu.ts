import type { AttentionContext } from "../context.js";
import { Profiler } from "../profiler.js";

/**
 * Runs passes and gives the time that they took on the GPU, in milliseconds: by timestamps where the device has them, else by
 * the clock from the submission to its end.
 *
 * @param passes how many passes `record` records
 */
export async function timeOnGpu(
  ctx: AttentionContext,
  passes: number,
  record: (encoder: GPUCommandEncoder, profiler: Profiler | undefined) => void,
): Promise<number> {
  const { device } = ctx;
  // WebGPU's limit of queries in a set.
  const profiler = ctx.capabilities.timestamps && passes <= 2048 ? new Profiler(device, passes) : undefined;
  try {
    const encoder = device.createCommandEncoder({ label: "webgpu-attention tuning" });
    record(encoder, profiler);
    profiler?.resolve(encoder);
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone();
    const elapsed = performance.now() - start;
    ctx.assertUsable();
    const stamped = (await profiler?.read())?.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    // Some drivers give nothing, or count in other units: a time that the clock contradicts is none.
    return stamped !== undefined && stamped > 0 && stamped <= elapsed ? stamped : elapsed;
  } finally {
    profiler?.destroy();
  }
}
