import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { attentionFlops } from "./pass-parts.js";
import { planSoftmax } from "./plan.js";
import { checkProblem, type SoftmaxProblem } from "./problem.js";
import { blockWork } from "./work.js";

const capabilities = minimumCapabilities();

function shape(tokensQ: number, tokensK: number, options: Partial<SoftmaxProblem> = {}, dim = 64, heads = 2) {
  const q = { dtype: "f32", shape: [1, tokensQ, heads, dim] } as const;
  const k = { dtype: "f32", shape: [1, tokensK, heads, dim] } as const;
  return checkProblem({ q, k, v: k, ...options }, capabilities);
}

describe("the work of a block of rows", () => {
  test.each([
    ["full", {}, 0, 4, { pairs: 40, keys: 10 }],
    ["causal", { causal: true }, 4, 4, { pairs: 5 + 6 + 7 + 8, keys: 8 }],
    ["a window", { causal: true, window: { left: 1 } }, 4, 4, { pairs: 8, keys: 5 }],
    ["rows past the last", {}, 8, 4, { pairs: 20, keys: 10 }],
    ["rows that see nothing", { causal: true, queryOffset: -50 }, 0, 4, { pairs: 0, keys: 0 }],
    ["rows that come too late", { queryOffset: 50, window: { left: 5 } }, 0, 4, { pairs: 0, keys: 0 }],
  ])("of %s", (_name, options, first, count, expected) => {
    expect(blockWork(shape(10, 10, options), first, count)).toEqual(expected);
  });

  test("adds up to the problem's operations", () => {
    for (const options of [{}, { causal: true }, { window: { left: 7, right: 2 } }]) {
      const problem = shape(50, 90, options);
      const pairs = [0, 16, 32, 48].reduce((sum, first) => sum + blockWork(problem, first, 16).pairs, 0);
      expect(2 * pairs * 4 * 64).toBe(attentionFlops(problem));
    }
  });
});

test("runs of workgroups follow each other, keep within the budget, and leave nothing out", () => {
  const groups = fc.array(fc.record({ work: fc.nat(100), flops: fc.nat(50) }), {
    minLength: 1,
    maxLength: 9,
  });
  fc.assert(
    fc.property(
      groups,
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 300 }),
      (round, repeats, budget) => {
        const runs = cutWorkgroups(round, repeats, budget);
        let next = 0;
        for (const { first, count, work, flops } of runs) {
          const own = Array.from({ length: count }, (_, index) => round[(first + index) % round.length]!);
          expect(first).toBe(next);
          expect(work).toBe(own.reduce((sum, group) => sum + group.work, 0));
          expect(flops).toBe(own.reduce((sum, group) => sum + group.flops, 0));
          if (count > 1) expect(work).toBeLessThanOrEqual(budget);
          next += count;
        }
        expect(next).toBe(round.length * repeats);
      },
    ),
  );
});

const CONFIGURATIONS: readonly SoftmaxConfiguration[] = [
  { kernel: "tiled", groups: 8, lanes: 8, rows: 4, keys: 4, staged: false, f16: false },
  { kernel: "rows", threads: 12, rows: 4, keys: 8, columns: 4, subgroups: false, unroll: true, f16: false },
  { kernel: "split", threads: 64, keysPerSplit: 1, f16: false },
  { kernel: "strips", threads: 4, keys: 8, columns: 4, keysPerSplit: 64, unroll: true, f16: false },
];

describe.each(CONFIGURATIONS.map((configuration) => [configuration.kernel, configuration] as const))(
  "dispatches of %s",
  (_kernel, configuration) => {
    const options = [
      {},
      { causal: true },
      { causal: true, window: { left: 100 } },
      { causal: true, queryOffset: -700 },
    ];

    test.each(options)("stay within the bound with %j", (option) => {
      const problem = shape(1000, 1500, option);
      const maxDispatchFlops = 3e7;
      const passes = planSoftmax(problem, capabilities, { configuration, maxDispatchFlops });
      expect(passes.length).toBeGreaterThan(1);
      for (const { work, cost } of passes) {
        expect(work).toBeLessThanOrEqual(maxDispatchFlops);
        expect(cost.flops).toBeLessThanOrEqual(work!);
      }
    });

    test("count what they do, once for each part of the columns that repeats it", () => {
      const problem = shape(40, 300, { causal: true });
      const passes = planSoftmax(problem, capabilities, { configuration });
      const flops = passes
        .filter(({ name }) => name !== "softmax/merge")
        .reduce((sum, { cost }) => sum + cost.flops, 0);
      const parts = "columns" in configuration ? 16 / configuration.columns : 1;
      expect(flops).toBeCloseTo((attentionFlops(problem) * (parts + 1)) / 2, 0);
    });
  },
);

test("a window bounds the work of a tile, and with it the number of dispatches", () => {
  const count = (options: Partial<SoftmaxProblem>) =>
    planSoftmax(shape(8192, 8192, options), capabilities, { maxDispatchFlops: 2e9 }).length;
  expect(count({ causal: true, window: { left: 127 } })).toBe(1);
  expect(count({ causal: true })).toBeGreaterThan(5);
});

test("fewer threads are still whole quads", () => {
  for (const threads of [5, 12, 20, 28]) {
    const configuration = { ...CONFIGURATIONS[1]!, threads } as SoftmaxConfiguration;
    const [pass] = planSoftmax(shape(4000, 4000), capabilities, { configuration, maxDispatchFlops: 2e7 });
    const { THREADS } = pass!.constants as { THREADS: number };
    expect(THREADS === threads || THREADS % 4 === 0).toBe(true);
    expect(THREADS).toBeGreaterThanOrEqual(4);
  }
});

test("keys are cut no finer than a binding holds", () => {
  const software = { ...capabilities, adapter: { ...capabilities.adapter, architecture: "swiftshader" } };
  const q = { dtype: "f32", shape: [64, 8, 32, 64] } as const;
  const k = { dtype: "f32", shape: [64, 4096, 1, 64] } as const;
  const problem = checkProblem({ q, k, v: k }, software);
  for (const configuration of [undefined, ...CONFIGURATIONS.slice(2)]) {
    const passes = planSoftmax(problem, software, { ...(configuration && { configuration }) });
    const limit = software.limits.maxStorageBufferBindingSize;
    for (const source of passes.flatMap(({ bindings }) => Object.values(bindings)))
      expect("bytes" in source ? source.bytes : 0).toBeLessThanOrEqual(limit);
  }
});
