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
      ["clear base 512", "sweep vec4 512", "receivedMean base 128", "mass base 128", "entropy base 128"],
    ],
    [
      "quads where the processor computes",
      [1024, 1024],
      received,
      { capabilities: cpu },
      ["clear base 512", "sweep subgroups+vec4 32", "receivedMean base 128"],
    ],
    [
      "ranges of keys for few rows",
      [1, 8192],
      received,
      { capabilities: cpu },
      ["clear base 1024", "sweep subgroups+vec4 32", "receivedMean base 1024"],
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
        "clear base 512",
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

  test("clears what it adds to before all dispatches, within their bounds", () => {
    const names = (statistics: StatisticsRequest, maxDispatchFlops?: number) =>
      plan([1024, 1024], statistics, { capabilities: cpu, maxDispatchFlops }).map(({ name }) => name);
    const map = { rows: 64, columns: 64 };
    expect(names({ entropy: true, topKeys: 2 })).not.toContain("statistics/clear");
    expect(names({ map })[0]).toBe("statistics/clear");
    const cut = names({ receivedSum: true, map }, 1e5);
    expect(cut.filter((name) => name === "statistics/clear").length).toBeGreaterThan(1);
    expect(cut.lastIndexOf("statistics/clear")).toBeLessThan(cut.indexOf("statistics/sweep"));
  });

  test("keeps at most 64 lines of sums, whatever the map", () => {
    for (const rows of [2, 3, 7, 33, 63, 65, 500]) {
      const [, { uniforms }] = plan(
        [4096, 64],
        { receivedSum: true, map: { rows, columns: 4 } },
        {
          ...{ q: layout(1, 4096, 1, 64), k: layout(1, 64, 1, 64) },
        },
      ) as [Pass, Pass];
      const { per_cell, cell_step } = uniforms.sweep as Record<string, number>;
      expect(per_cell! * cell_step!).toBeLessThanOrEqual(64);
    }
  });

  test("takes only as many ranges of keys as fit, before it refuses", () => {
    const one = (tokens: number) => ({ q: layout(1, tokens, 1, 64), k: layout(1, tokens, 1, 64) });
    for (const [tokens, statistics] of [
      [4096, { map: { rows: 2048, columns: 2048 }, entropy: true }],
      [100_000, { topKeys: 32 }],
    ] as const) {
      const sweep = plan([tokens, tokens], statistics, one(tokens)).find(({ name }) =>
        name.endsWith("sweep"),
      )!;
      const { bytes } = sweep.bindings.partials as { bytes: number };
      expect(bytes).toBeLessThanOrEqual(gpu.limits.maxStorageBufferBindingSize);
    }
  });

  test("refuses sums that do not fit", () => {
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 18 });
    const wide = layout(1, 1024, 8, 4);
    expect(() => plan([1024, 1024], { topKeys: 64 }, { q: wide, k: wide, capabilities: small })).toThrow(
      expect.objectContaining({ code: "limit" }),
    );
  });

  test("refuses comparisons of heads that do not fit", () => {
    const q = layout(64, 16_384, 16, 4);
    const headGroups = Array.from({ length: 16 }, (_, head) => [head]);
    const compared = () =>
      plan([16_384, 16_384], { headDiversity: true }, { q, k: layout(64, 16_384, 16, 4), headGroups });
    expect(compared).toThrow(expect.objectContaining({ code: "limit" }));
  });
});

describe("rounds of loops where llvmpipe ends them", () => {
  const most = 65_535;
  const llvmpipe: Capabilities = { ...cpu, adapter: { ...gpu.adapter, architecture: "llvmpipe" } };
  const uniformsOf = ({ uniforms }: Pass) =>
    ({ ...(uniforms.sweep as object), ...(uniforms.params as object) }) as Record<string, number>;
  const wide = (heads: number, tokens: number, dim: number) => ({
    q: layout(1, tokens, heads, dim),
    k: layout(1, tokens, heads, dim),
    capabilities: llvmpipe,
  });

  test.each([
    [32, 64, 1024],
    [16, 64, 2048],
    [8, 64, 4096],
    [32, 128, 1024],
    [128, 256, 256],
  ])("of %i compared heads of %i channels, %i tokens", (heads, dim, tokens) => {
    const passes = plan([tokens, tokens], { headDiversity: true }, wide(heads, tokens, dim));
    const compare = passes.find(({ name }) => name.endsWith("head_diversity"))!;
    const { splits, split_keys } = uniformsOf(compare);
    expect((split_keys! / 8) * (1 + heads * (1 + dim / 4))).toBeLessThanOrEqual(most);
    expect(splits! * split_keys!).toBeGreaterThanOrEqual(tokens);
    const mean = passes.find(({ name }) => name.endsWith("headDiversity"))!;
    expect(uniformsOf(mean)).toMatchObject({ splits, split_keys });
    const { bytes } = compare.bindings.partials as { bytes: number };
    expect(bytes).toBe(8 * splits! * tokens);
  });

  test("and of heads that are too many for one tile of keys", () => {
    expect(() => plan([8, 8], { headDiversity: true }, wide(1024, 8, 256))).toThrow(
      expect.objectContaining({ code: "limit" }),
    );
  });

  test("so do comparisons keep to the bound of a dispatch, heads included", () => {
    const maxDispatchFlops = 1e6;
    const passes = plan(
      [256, 1024],
      { headDiversity: true },
      {
        ...wide(32, 1024, 64),
        q: layout(1, 256, 32, 64),
        maxDispatchFlops,
      },
    );
    for (const { work } of passes.filter(({ name }) => name.endsWith("head_diversity")))
      expect(work).toBeLessThanOrEqual(maxDispatchFlops);
  });

  test.each([
    [16, 1024],
    [128, 1024],
    [256, 2048],
    [64, 16_384],
  ])("of lists of %i keys, %i tokens", (topKeys, tokens) => {
    const passes = plan([tokens, tokens], { topKeys }, wide(4, tokens, 64));
    for (const pass of passes.filter(({ name }) => name.endsWith("sweep"))) {
      const { ROWS, SHIFTS } = pass.constants as Record<string, number>;
      // Unrolled, the loops that are left are those over rows of tiles, tiles, channels, keys of a tile and places of a list.
      expect(pass.unroll).toMatchObject({ ROWS, SHIFTS });
      const { rounds, split_keys } = uniformsOf(pass);
      const insertions = 8 * (1 + Math.floor((topKeys - 1) / SHIFTS!) + 1);
      const tiles = (split_keys! / 8) * (1 + 16 + ROWS! * insertions);
      expect(rounds! * (1 + ROWS! * 2 * topKeys + tiles)).toBeLessThanOrEqual(most);
    }
    const merge = passes.find(({ name }) => name.endsWith("topKeys"))!;
    expect(topKeys * (1 + (merge.constants!.SPLITS as number))).toBeLessThanOrEqual(most);
  });

  test("and of lists, which stay shorter than what they are made of", () => {
    const [sweep] = plan([16_384, 16_384], { topKeys: 64 }, wide(1, 16_384, 64));
    const { bytes } = sweep!.bindings.partials as { bytes: number };
    expect(bytes).toBeLessThan(0.05 * 4 * 16_384 ** 2);
  });
});
