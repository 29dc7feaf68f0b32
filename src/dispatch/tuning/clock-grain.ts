/** Steps that are looked at: one may be two grains long where the process was interrupted. */
const STEPS = 2;
/** About 30 ms of calls: a page may stand still for no longer. */
const MOST_READINGS = 1_000_000;
/** Where the clock stood still all that time: browsers that resist fingerprinting round to 100 ms at most. */
const COARSEST_MS = 100;

/** The smallest step that a clock takes, in its own unit: browsers round theirs to anything from 5 µs to 100 ms. */
export function grainOf(now: () => number): number {
  let grain = Number.POSITIVE_INFINITY;
  let last = now();
  for (let reading = 0, steps = 0; reading < MOST_READINGS && steps < STEPS; reading++) {
    const next = now();
    if (next <= last) continue;
    grain = Math.min(grain, next - last);
    last = next;
    steps++;
  }
  return Math.min(grain, COARSEST_MS);
}

let known: number | undefined;

/** The grain of `performance.now()` in milliseconds, found once. */
export function clockGrain(): number {
  known ??= grainOf(() => performance.now());
  return known;
}
