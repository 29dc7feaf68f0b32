import type { AttentionContext, PassTiming } from "webgpu-attention";
import type { PreparedRun } from "../../kernels/_playground/mechanism.js";

/** Timed runs go on until they took this long together, within the limits of their number. */
const TIMING_BUDGET_MS = 1500;
const MOST_RUNS = 15;
const FEWEST_RUNS = 3;
/** A run as long as this is timed once: a person waits for it. */
const LONG_RUN_MS = 10_000;
const MOST_TIMED_PASSES = 2048;

export interface Measurement {
  /** By timestamps on the GPU, or from submitting to the end of the work as the page sees it. */
  readonly clock: "gpu" | "wall";
  readonly runs: number;
  /** Median over the runs. */
  readonly milliseconds: number;
  readonly wallMilliseconds: number;
  /** Medians in the order of the passes; undefined without timestamps. */
  readonly passMilliseconds?: readonly number[];
}

interface RunTimes {
  readonly wall: number;
  readonly passes?: readonly number[];
}

export interface Progress {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Submits the parts of a problem one by one, each after the one before has ended: the page can draw and cancel in between.
 *
 * @throws the signal's reason once it has fired
 */
export async function runOnce(
  ctx: AttentionContext,
  prepared: PreparedRun,
  { signal, onProgress }: Progress,
  timed = false,
): Promise<RunTimes> {
  const { segments } = prepared;
  const longest = Math.max(...segments.map(({ passes }) => passes.length));
  const profiler =
    timed && ctx.capabilities.timestamps
      ? ctx.createProfiler(Math.min(longest, MOST_TIMED_PASSES))
      : undefined;
  const passes: PassTiming[] = [];
  let wall = 0;
  try {
    for (const [index, segment] of segments.entries()) {
      signal.throwIfAborted();
      onProgress(index, segments.length);
      const encoder = ctx.device.createCommandEncoder();
      const start = performance.now();
      segment.record(encoder, profiler);
      profiler?.resolve(encoder);
      ctx.device.queue.submit([encoder.finish()]);
      await ctx.device.queue.onSubmittedWorkDone();
      wall += performance.now() - start;
      if (profiler) passes.push(...(await profiler.read()));
    }
  } finally {
    profiler?.destroy();
  }
  signal.throwIfAborted();
  return { wall, ...(profiler && { passes: passes.map(({ milliseconds }) => milliseconds) }) };
}

/** Median of several runs. The caller has run the problem once before, so that nothing is compiled or allocated here. */
export async function measure(
  ctx: AttentionContext,
  prepared: PreparedRun,
  warmUpMilliseconds: number,
  { signal, onProgress }: Progress,
): Promise<Measurement> {
  const planned = Math.min(
    MOST_RUNS,
    Math.max(FEWEST_RUNS, Math.floor(TIMING_BUDGET_MS / warmUpMilliseconds)),
  );
  const runs = warmUpMilliseconds > LONG_RUN_MS ? 1 : planned;
  const parts = prepared.segments.length;
  const times: RunTimes[] = [];
  for (let run = 0; run < runs; run++) {
    const progress = { signal, onProgress: (done: number) => onProgress(run * parts + done, runs * parts) };
    times.push(await runOnce(ctx, prepared, progress, true));
  }
  return summarise(times, prepared.passes.length);
}

function summarise(times: readonly RunTimes[], passCount: number): Measurement {
  const wallMilliseconds = median(times.map(({ wall }) => wall));
  const timed = times.flatMap(({ passes }) => (passes?.length === passCount ? [passes] : []));
  const wall = {
    clock: "wall",
    runs: times.length,
    milliseconds: wallMilliseconds,
    wallMilliseconds,
  } as const;
  if (timed.length < times.length) return wall;
  const milliseconds = median(timed.map((passes) => passes.reduce((sum, time) => sum + time, 0)));
  // Browsers may round timestamps, short passes to nothing.
  if (milliseconds <= 0) return wall;
  const passMilliseconds = Array.from({ length: passCount }, (_, pass) =>
    median(timed.map((passes) => passes[pass]!)),
  );
  return { ...wall, clock: "gpu", milliseconds, passMilliseconds };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
