import { describe, expect, it } from "vitest";
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { planSaliency } from "./passes.js";
import { checkEnhancement, checkSaliency, type GazeEnhancementProblem } from "./problem.js";

const gpu = minimumCapabilities();
const llvmpipe: Capabilities = {
  ...gpu,
  software: true,
  adapter: { ...gpu.adapter, architecture: "llvmpipe" },
};
const attention = (tokens: number, heads: number, dim: number) => {
  const layout = { dtype: "f32", shape: [1, tokens, heads, dim] } as const;
  return { q: layout, k: layout, v: layout, causal: true };
};

describe("loops where llvmpipe ends them", () => {
  const passes = (rows: number, capabilities: Capabilities) => {
    const contentRows = Array.from({ length: rows }, (_, n) => 2900 + n);
    const problem = { ...attention(3000 + rows, 1, 128), image: [0, 2880] as const, contentRows };
    const shape = checkSaliency(problem, capabilities);
    return planSaliency({ shape, rowsAt: 0, capabilities, maxDispatchFlops: 1e12 });
  };

  it("over many content rows have few rounds", () => {
    expect(passes(100, llvmpipe)[0]!.unroll).not.toHaveProperty("HEAD_DIM4");
    expect(passes(1200, llvmpipe)[0]!.unroll).toMatchObject({ HEAD_DIM4: 32 });
    expect(passes(1200, gpu)[0]!.unroll).not.toHaveProperty("HEAD_DIM4");
  });

  it("are refused where they are too long even so", () => {
    const limit = expect.objectContaining({ code: "limit" });
    expect(() => passes(70_000, llvmpipe)).toThrow(limit);
    expect(passes(70_000, gpu)).not.toHaveLength(0);
  });
});

describe("an enhancement", () => {
  const check = (change: object) =>
    checkEnhancement(
      { ...attention(20, 2, 8), image: [2, 9], question: [10, 14], ...change } as GazeEnhancementProblem,
      gpu,
    );

  it.each<[string, object]>([
    ["shape", { question: [14, 10] }],
    ["shape", { question: [10, 21] }],
    ["shape", { alpha: -1 }],
    ["shape", { alpha: Number.NaN }],
    ["shape", { saliency: { dtype: "f32", shape: [1, 8, 1, 1] } }],
    ["unsupported", { saliency: { dtype: "f32", shape: [1, 7, 1, 1], strides: [14, 2, 1, 1] } }],
  ])("is refused: %s %j", (code, change) => {
    expect(() => check(change)).toThrow(expect.objectContaining({ code }));
  });

  it("takes dense strides that are given", () => {
    const saliency = { dtype: "f32", shape: [1, 7, 1, 1], strides: [7, 1, 1, 1] } as const;
    expect(check({ saliency }).saliency.shape).toEqual([1, 7, 1, 1]);
  });
});
