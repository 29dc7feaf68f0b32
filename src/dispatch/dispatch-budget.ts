import { type Architecture, architectureOf } from "./architecture.js";
import type { Capabilities } from "./capabilities.js";
import type { Pass, PassCost } from "./pass.js";

/**
 * f32 operations a second that attention may count on where nothing was measured: deliberately at the low end of each family
 * (integrated rather than discrete, last decade's rather than this year's), because too low costs a few dispatches more and
 * too high costs the device. CPU drivers: two cores; they reach 4 to 6 times as much on large plain problems.
 */
const FLOPS_PER_SECOND: Readonly<Record<Architecture, number>> = {
  nvidia: 500e9,
  apple: 300e9,
  amd: 200e9,
  intel: 60e9,
  qualcomm: 30e9,
  arm: 20e9,
  swiftshader: 1e9,
  llvmpipe: 1e9,
  unknown: 20e9,
};

/** Of what was measured on a small problem, for what differs in a larger one. */
const MEASURED_SHARE = 0.7;

/**
 * Floating-point operations that a dispatch of at most `milliseconds` may hold on this device.
 *
 * @param measured operations a second that tuning saw there, where it did
 */
export function dispatchFlops(capabilities: Capabilities, milliseconds: number, measured?: number): number {
  const rate =
    measured === undefined ? FLOPS_PER_SECOND[architectureOf(capabilities)] : MEASURED_SHARE * measured;
  return (rate * milliseconds) / 1000;
}

/** Runs of passes, [from, to), that stay within `budget` operations together, of one pass at least. */
export function cutSegments(passes: readonly Pass[], budget: number): { from: number; to: number }[] {
  const segments: { from: number; to: number; work: number }[] = [];
  passes.forEach(({ cost, work = cost.flops }, index) => {
    const last = segments.at(-1);
    if (last && last.work + work <= budget) {
      last.to = index + 1;
      last.work += work;
    } else {
      segments.push({ from: index, to: index + 1, work });
    }
  });
  return segments.map(({ from, to }) => ({ from, to }));
}

export function sumCosts(costs: readonly PassCost[]): PassCost {
  return costs.reduce((sum, cost) => ({ flops: sum.flops + cost.flops, bytes: sum.bytes + cost.bytes }), {
    flops: 0,
    bytes: 0,
  });
}
