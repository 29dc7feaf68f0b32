import type { Capabilities } from "./capabilities.js";
import type { PassCost } from "./pass.js";

/**
 * f32 operations a second that attention may count on where nothing was measured: deliberately at the low end of each kind
 * (integrated rather than discrete, last decade's rather than this year's), because too low costs a few dispatches more and
 * too high costs the device.
 */
const FLOPS_PER_SECOND: readonly (readonly [name: RegExp, flops: number])[] = [
  [/nvidia/i, 500e9],
  [/apple/i, 300e9],
  [/amd|radeon/i, 200e9],
  [/intel/i, 60e9],
  [/qualcomm|adreno/i, 30e9],
  [/arm|mali|imagination|powervr|samsung/i, 20e9],
];
const UNKNOWN_FLOPS_PER_SECOND = 20e9;
/** Two cores of SwiftShader or llvmpipe. */
const SOFTWARE_FLOPS_PER_SECOND = 1e9;

/** Floating-point operations that a dispatch of at most `milliseconds` may hold on this kind of device. */
export function dispatchFlops({ adapter, software }: Capabilities, milliseconds: number): number {
  const name = Object.values(adapter).join(" ");
  const known = FLOPS_PER_SECOND.find(([pattern]) => pattern.test(name))?.[1] ?? UNKNOWN_FLOPS_PER_SECOND;
  return ((software ? SOFTWARE_FLOPS_PER_SECOND : known) * milliseconds) / 1000;
}

/** Cuts `count` workgroups of `groupFlops` each into runs that stay within `budget` operations, of one at least. */
export function cutGroups(
  count: number,
  groupFlops: number,
  budget: number,
): { first: number; count: number }[] {
  const size = Math.max(1, Math.min(count, Math.floor(budget / groupFlops)));
  return Array.from({ length: Math.ceil(count / size) }, (_, index) => ({
    first: index * size,
    count: Math.min(size, count - index * size),
  }));
}

/** Runs of passes, [from, to), that stay within `budget` operations together, of one pass at least. */
export function cutSegments(costs: readonly PassCost[], budget: number): { from: number; to: number }[] {
  const segments: { from: number; to: number; flops: number }[] = [];
  costs.forEach(({ flops }, index) => {
    const last = segments.at(-1);
    if (last && last.flops + flops <= budget) {
      last.to = index + 1;
      last.flops += flops;
    } else {
      segments.push({ from: index, to: index + 1, flops });
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
