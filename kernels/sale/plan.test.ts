import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { planSoftmax } from "../softmax/plan.js";
import { checkProblem as checkSoftmax } from "../softmax/problem.js";
import { tableConfiguration } from "./configuration.js";
import { candidateBlocks, causalBlocks, geometryOf, listEntries, localPairs } from "./geometry.js";
import { type Memory, memoryBytes } from "./memory.js";
import { planSelection } from "./plan.js";
import { checkProblem, type SaleProblem } from "./problem.js";

const gpu = { ...minimumCapabilities(), dot4: true };
const llvmpipe: Capabilities = {
  ...gpu,
  software: true,
  adapter: { ...gpu.adapter, description: "llvmpipe (LLVM 15.0.6, 256 bits)" },
};
const swiftshader: Capabilities = { ...llvmpipe, adapter: { ...gpu.adapter, architecture: "swiftshader" } };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

function plan(
  tokens: number,
  options: Partial<SaleProblem> = {},
  {
    capabilities = gpu as Capabilities,
    maxDispatchFlops = Number.POSITIVE_INFINITY,
    heads = 1,
    dim = 64,
  } = {},
): Pass[] {
  const x = layout(1, tokens, heads, dim);
  const shape = checkProblem({ q: x, k: x, v: x, thresholds: 0.004, ...options }, capabilities);
  const bytes = memoryBytes(shape, capabilities);
  const memory = Object.fromEntries(
    Object.entries(bytes).map(([name, size], slot) => [name, { scratch: slot, bytes: size }]),
  ) as Memory;
  return planSelection(shape, capabilities, memory, { maxDispatchFlops });
}

test("the passes of a selection", () => {
  const summary = plan(4096, {}, { heads: 8 }).map(
    ({ name, variant, workgroups }) => `${name.replace("sale/", "")} ${variant} ${workgroups[0]}`,
  );
  expect(summary).toEqual([
    "column_sums vec4 32",
    "column_means base 2",
    "column_sums vec4 32",
    "column_means base 2",
    "quantise vec4 256",
    "quantise vec4 64",
    "correction vec4 512",
    "local_scores vec4 512",
    "select_blocks dot4 2048",
    "list_blocks base 8",
  ]);
});

describe("configurations", () => {
  it("follow the device", () => {
    expect(tableConfiguration(64, gpu)).toMatchObject({ dot4: true, lanes: 8, unroll: false });
    expect(tableConfiguration(64, { ...gpu, dot4: false })).toMatchObject({ dot4: false });
    expect(tableConfiguration(64, llvmpipe)).toMatchObject({ dot4: true, rows: 16, unrollWords: true });
    expect(tableConfiguration(256, llvmpipe)).toMatchObject({ unrollWords: false });
    expect(tableConfiguration(64, swiftshader)).toMatchObject({ dot4: false, unrollWords: false });
  });
});

describe("cost", () => {
  const dense = (tokens: number) => {
    const x = layout(1, tokens, 1, 64);
    const shape = checkSoftmax({ q: x, k: x, v: x, causal: true }, gpu);
    return sumCosts(planSoftmax(shape, gpu).map(({ cost }) => cost)).flops;
  };
  const selection = (tokens: number, options: Partial<SaleProblem> = {}) =>
    sumCosts(plan(tokens, options).map(({ cost }) => cost)).flops;

  it("is at most 15 % of dense attention's, four 8-bit products counted as one", () => {
    expect(selection(16_384) / dense(16_384)).toBeLessThan(0.15);
    expect(selection(16_384, { localWindow: 256 }) / dense(16_384)).toBeLessThan(0.15);
    expect(selection(65_536) / dense(65_536)).toBeLessThan(0.13);
  });

  it("stays within the bound of a dispatch, and none of it is lost", () => {
    const [whole, cut] = [plan(4096), plan(4096, {}, { maxDispatchFlops: 2e7 })];
    expect(cut.length).toBeGreaterThan(whole.length);
    for (const { work } of cut) expect(work).toBeLessThanOrEqual(2e7);
    const sum = (passes: readonly Pass[]) => sumCosts(passes.map(({ cost }) => cost)).flops;
    expect(sum(cut) / sum(whole)).toBeCloseTo(1, 9);
  });
});

describe("geometry", () => {
  const of = (tokens: number, blockK = 32, segment = 128, localWindow = 128) =>
    geometryOf({ tokens, blockK, segment, localWindow });

  test.each([
    [400, 32, 128, 128],
    [447, 16, 128, 128],
    [449, 16, 256, 64],
    [700, 64, 64, 64],
    [1, 32, 128, 128],
    [2000, 32, 256, 256],
  ])(
    "%i tokens in blocks of %i: candidates end before the diagonal, and pairs add up",
    (tokens, blockK, segment, local) => {
      const geometry = of(tokens, blockK, segment, local);
      let pairs = 0;
      for (let a = 0; a < geometry.queryBlocks; a++) {
        const candidates = candidateBlocks(geometry, a);
        expect((candidates + 1) * blockK <= 64 * a || candidates === 0).toBe(true);
        expect(candidates % (segment / blockK)).toBe(0);
        const rows = Math.min(64, tokens - 64 * a);
        pairs += localPairs(geometry, a) + rows * candidates * blockK;
      }
      expect(pairs).toBe((tokens * (tokens + 1)) / 2);
    },
  );

  it("has room for every causal block", () => {
    expect(listEntries(of(130))).toBe(2 + 4 + 5);
    expect(causalBlocks(of(130), 2)).toBe(5);
  });
});

it("spreads more workgroups than a dimension takes, and binds at most eight buffers", () => {
  const spread = plan(60_000).find(({ name }) => name === "sale/select_blocks")!;
  expect(spread.workgroups[0] * spread.workgroups[1]).toBeGreaterThanOrEqual(938 * 59);
  for (const { bindings } of plan(700)) expect(Object.keys(bindings).length).toBeLessThanOrEqual(8);
});

it("reads four channels at a time where rows are aligned, halves by their storage", () => {
  const variants = (options: Partial<SaleProblem>, dim = 64) =>
    plan(700, options, { heads: 2, dim })
      .map(({ variant }) => variant)
      .slice(4, 8)
      .join(" ");
  expect(variants({})).toBe("vec4 vec4 vec4 vec4");
  expect(variants({}, 6)).toBe("base base base base");
  expect(variants({ k: { ...layout(1, 700, 2, 64), offset: 2 } })).toBe("vec4 base base base");
  const half = { ...layout(1, 700, 2, 64), dtype: "f16" } as const;
  expect(variants({ q: half, k: half, v: half })).toBe("half+vec4 half+vec4 half+vec4 half+vec4");
});
