import { throwIfAborted } from "./abort.js";

/** What a clock said of some work. */
export interface GpuTime {
  readonly ms: number;
  /** The smallest difference that the clock tells apart, in milliseconds. A time of about this is as good as unknown. */
  readonly grainMs: number;
}

/** Where the cost of a submission disappears. */
const SAMPLE_MS = 2;
/** A sample this many grains long is known to an eighth. */
const SAMPLE_GRAINS = 8;
/** A run may be longer than the clock shows by a grain: more repeats at once could keep the GPU busy for seconds. */
const MOST_GROWTH = 16;
const MOST_REPEATS = 4096;

/** How long a sample should take, by such a clock. */
export function sampleMs(grainMs: number): number {
  return Math.max(SAMPLE_MS, SAMPLE_GRAINS * grainMs);
}

/** Repeats that make a sample of runs of `estimate` milliseconds; one where nothing is known. */
export function sampleRepeats(estimate: number | undefined, grainMs: number): number {
  if (estimate === undefined) return 1;
  return Math.min(Math.max(Math.ceil(sampleMs(grainMs) / estimate), 1), MOST_REPEATS);
}

/** The time of one run, or undefined where the clock's grain hides it. */
export function clearly({ ms, grainMs }: GpuTime): number | undefined {
  return ms > 0 && ms >= (SAMPLE_GRAINS / 2) * grainMs ? ms : undefined;
}

/**
 * The milliseconds of one run, from as many repeats as stand clear of the clock's grain.
 *
 * @param repeats to begin with
 * @param spend is told the time of every look
 * @returns undefined where not even thousands of runs move the clock
 */
export async function clearTime(
  run: (times: number) => Promise<GpuTime>,
  repeats: number,
  spend: (ms: number) => void,
  signal?: AbortSignal,
): Promise<number | undefined> {
  for (let times = repeats; ; ) {
    throwIfAborted(signal);
    const time = await run(times);
    spend(time.ms);
    const wanted = sampleMs(time.grainMs);
    if (time.ms >= wanted / 2) return time.ms / times;
    if (times >= MOST_REPEATS) return time.ms > time.grainMs ? time.ms / times : undefined;
    const growth = time.ms > 0 ? wanted / time.ms : MOST_GROWTH;
    times = Math.min(MOST_REPEATS, Math.ceil(times * Math.min(Math.max(growth, 2), MOST_GROWTH)));
  }
}
