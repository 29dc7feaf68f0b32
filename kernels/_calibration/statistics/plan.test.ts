import { describe, expect, test } from "vitest";
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import type { Pass } from "../../../src/dispatch/pass.js";
import type { Shape4, TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import type { StatisticsRequest } from "./options.js";
import { planStatistics } from "./plan.js";
import { type AttentionStatisticsProblem, checkStatistics } from "./problem.js";

const gpu = minimumCapabilities();
const cpu: Capabilities = { ...gpu, software: true, subgroups: true };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

function plan(
  [tokensQ, tokensK]: readonly [number, number],
  statistics: StatisticsRequest,
  {
    capabilities = gpu,
    maxDispatchFlops = Number.POSITIVE_INFINITY,
    ...options
  }: Partial<AttentionStatisticsProblem> & { capabilities?: Capabilities; maxDispatchFlops?: number } = {},
): Pass[] {
  const [q, k] = [layout(1, tokensQ, 8, 64), layout(1, tokensK, 8, 64)];
  const problem = { q, k, lse: true as const, statistics, ...options };
  return planStatistics(checkStatistics(problem, capabilities), capabilities, { maxDispatchFlops });
}

/** "pass variant workgroups" */
const summary = (passes: readonly Pass[]) =>
  passes.map(
    ({ name, variant, workgroups }) => `${name.replace("statistics/", "")} ${variant} ${workgroups[0]}`,
  );

const received = { receivedMean: true };

describe("the passes of a request", () => {
  test.each<[string, readonly [number, number], StatisticsRequest, Parameters<typeof plan>[2], string[]]>([
    [
      "all in one sweep",
      [1024, 1024],
      { ...received, entropy: true, mass: [{ keys: [0] }] },
      {},
      ["sweep vec4 512", "receivedMean base 128", "mass base 128", "entropy base 128"],
    ],
    [
      "quads where the processor computes",
      [1024, 1024],
      received,
      { capabilities: cpu },
      ["sweep subgroups+vec4 32", "receivedMean base 128"],
    ],
    [
      "ranges of keys for few rows",
      [1, 8192],
      received,
      { capabilities: cpu },
      ["sweep subgroups+vec4 32", "receivedMean base 1024"],
    ],
    ["no sweep for single products", [1024, 1024], { diagonals: [0, 1] }, {}, ["diagonals vec4 256"]],
    ["no sweep for counts", [1024, 1024], { receivedCount: true }, {}, ["receivedCount base 128"]],
    [
      "a sweep of its own for what compares heads",
      [64, 64],
      { headDiversity: true },
      {},
      ["head_diversity vec4 2", "headDiversity base 1"],
    ],
    [
      "only heads that are averaged",
      [1024, 1024],
      { entropy: true },
      { headGroups: [[1, 2]], capabilities: cpu },
      ["sweep subgroups+vec4 32", "entropy base 16"],
    ],
    [
      "many dispatches where they have to be short",
      [256, 1024],
      received,
      { capabilities: cpu, maxDispatchFlops: 6.8e7 },
      [
        "sweep subgroups+vec4 8",
        "sweep subgroups+vec4 8",
        "sweep subgroups+vec4 8",
        "sweep subgroups+vec4 8",
        "receivedMean base 128",
      ],
    ],
  ])("%s", (_name, sizes, statistics, options, expected) => {
    expect(summary(plan(sizes, statistics, options))).toEqual(expected);
  });

  test("counts pairs one by one only where scores may hide a key", () => {
    const counted = (options: Partial<AttentionStatisticsProblem>) =>
      plan([64, 64], received, options).at(-1)!.constants!.COUNTED;
    expect(counted({ causal: true, keyMask: Array(64).fill(1), window: { left: 4 } })).toBe(false);
    expect(counted({ bias: layout(1, 1, 64, 64) })).toBe(true);
  });

  test("says what the products of a sweep cost", () => {
    const flops = (options: Partial<AttentionStatisticsProblem> & { maxDispatchFlops?: number }) =>
      plan([64, 64], received, options).reduce((sum, { cost }) => sum + cost.flops, 0);
    expect(flops({})).toBe(8 * 64 * 64 * 2 * 64);
    expect(flops({ causal: true })).toBe(8 * (64 * 65 * 0.5) * 2 * 64);
    expect(flops({ maxDispatchFlops: 1e5 })).toBeCloseTo(flops({}), 0);
  });

  test("refuses sums that do not fit", () => {
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 18 });
    const wide = layout(1, 1024, 8, 4);
    expect(() => plan([1024, 1024], { topKeys: 64 }, { q: wide, k: wide, capabilities: small })).toThrow(
      expect.objectContaining({ code: "limit" }),
    );
  });
});
