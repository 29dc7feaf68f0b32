import type { AttentionContext } from "../context.js";
import { AttentionError } from "../errors.js";
import { Profiler } from "../profiler.js";
import type { GpuTime } from "./clear-time.js";
import { clockGrain } from "./clock-grain.js";

/** Browsers round timestamps to this unless a developer asks them not to. */
const TIMESTAMP_GRAIN_MS = 0.1;
/** WebGPU's limit of queries in a set, two for each pass. */
const MOST_STAMPED = 2048;

/**
 * Runs passes and gives the time that they took on the GPU: by timestamps where the device has them, else by the clock from the
 * submission to its end. What the driver says against the submission is thrown, not left to the application's handler.
 *
 * @param passes how many passes `record` records
 * @throws AttentionError "compile" where the driver refuses the work, "limit", "device-lost", "disposed"
 */
export async function timeOnGpu(
  ctx: AttentionContext,
  passes: number,
  record: (encoder: GPUCommandEncoder, profiler: Profiler | undefined) => void,
): Promise<GpuTime> {
  const { device } = ctx;
  const grainMs = clockGrain();
  const stamps = ctx.capabilities.timestamps && passes <= MOST_STAMPED;
  const profiler = stamps ? new Profiler(device, passes) : undefined;
  try {
    let start = 0;
    const submitted = ctx.submitChecked((encoder) => {
      record(encoder, profiler);
      profiler?.resolve(encoder);
      start = performance.now();
    });
    // Asked for at once: the answer of the error scopes takes a round trip that is no part of the work.
    const ended = device.queue.onSubmittedWorkDone().then(() => performance.now());
    const [, end] = await Promise.all([submitted, ended]);
    await ctx.assertAlive();
    const elapsed = end - start;
    const stamped = (await profiler?.read())?.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    // Some drivers give nothing, or count in other units: a time that the clock contradicts is none.
    return stamped !== undefined && stamped > 0 && stamped <= elapsed + grainMs
      ? { ms: stamped, grainMs: TIMESTAMP_GRAIN_MS }
      : { ms: elapsed, grainMs };
  } catch (error) {
    await ctx.assertAlive();
    throw refused(error);
  } finally {
    profiler?.destroy();
  }
}

/** A context in use has no disposed buffers of its own: here the driver refused what a kernel asks for. */
function refused(error: unknown): unknown {
  if (!(error instanceof AttentionError && error.code === "disposed")) return error;
  return new AttentionError("compile", {
    subject: "tuning submission",
    expected: "work that the driver takes",
    got: error.details.got,
    fix: "Report this with the adapter's name and driver version.",
    cause: error,
  });
}
