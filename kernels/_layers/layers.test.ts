import { describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import {
  type LinearProblem,
  planEmbedding,
  planImage,
  planL2Normalize,
  planLayerNorm,
  planLinear,
  planMeanPool,
  planPatches,
  planRope,
} from "./index.js";
import { checkLinear, linearPasses } from "./linear.js";
import type { WeightMatrix } from "./weight-matrix.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const x = layout(2, 3, 1, 8);
const vector = layout(1, 1, 1, 8);
const weight = layout(1, 1, 8, 12);
const table: WeightMatrix = {
  ...{ dtype: "q8", rows: 10, columns: 8 },
  parts: [{ buffer: { size: 368, usage: 0x80 } as GPUBuffer, firstRow: 0, rows: 10 }],
};

describe("wrong problems are refused before any GPU call", () => {
  const any = (problem: object) => problem as never;
  test.each<[string, () => Promise<unknown>, string, RegExp]>([
    [
      "linear: weight of another input",
      () => planLinear(ctx, { x, weight: layout(1, 1, 7, 12) }),
      "shape",
      /weight.*\[1, 1, 8, 12\].*\[1, 1, 7, 12\]/,
    ],
    [
      "rope: more pairs than channels",
      () => planRope(ctx, { x, frequencies: Array(5).fill(1) }),
      "shape",
      /1 to 4.*5/,
    ],
    ["linear: short bias", () => planLinear(ctx, { x, weight, bias: vector }), "shape", /bias.*12/],
    ["linear: residual of the input", () => planLinear(ctx, { x, weight, residual: x }), "shape", /residual/],
    ["linear: heads", () => planLinear(ctx, { x: layout(2, 3, 2, 4), weight }), "shape", /heads/],
    ["linear: f16", () => planLinear(ctx, { x: { ...x, dtype: "f16" }, weight }), "dtype", /x\.dtype/],
    [
      "linear: activation",
      () => planLinear(ctx, any({ x, weight, activation: "swish" })),
      "unsupported",
      /silu.*swish/,
    ],
    [
      "linear: unknown option",
      () => planLinear(ctx, any({ x, weight, act: "relu" })),
      "unsupported",
      /"act"/,
    ],
    [
      "linear: too much",
      () => planLinear(ctx, { x: layout(1, 2 ** 24, 1, 8), weight }),
      "limit",
      /x: .*bytes/,
    ],
    [
      "layer norm: scale",
      () => planLayerNorm(ctx, { x, scale: layout(1, 1, 1, 4), bias: vector }),
      "shape",
      /scale/,
    ],
    [
      "layer norm: epsilon",
      () => planLayerNorm(ctx, { x, scale: vector, bias: vector, epsilon: -1 }),
      "shape",
      /epsilon/,
    ],
    [
      "layer norm: option",
      () => planLayerNorm(ctx, any({ x, scale: vector, bias: vector, eps: 1 })),
      "unsupported",
      /eps/,
    ],
    [
      "embedding: positions",
      () => planEmbedding(ctx, { batches: 2, tokens: 3, table, positions: layout(1, 2, 1, 8) }),
      "shape",
      /positions/,
    ],
    ["embedding: no tokens", () => planEmbedding(ctx, { batches: 2, tokens: 0, table }), "shape", /tokens/],
    [
      "embedding: scale",
      () => planEmbedding(ctx, { batches: 2, tokens: 3, table, scale: Number.NaN }),
      "shape",
      /scale/,
    ],
    [
      "rope: a frequency that is no number",
      () => planRope(ctx, { x, frequencies: [1, Number.NaN] }),
      "shape",
      /frequencies\[1\]/,
    ],
    ["patches: nothing", () => planPatches(ctx, any(undefined as never)), "shape", /patches options/],
    ["image: nothing", () => planImage(ctx, any(undefined as never)), "shape", /image options/],
    ["mean pool: output", () => planMeanPool(ctx, { x, out: x }), "shape", /out/],
    ["l2 normalize: output", () => planL2Normalize(ctx, { x, out: vector }), "shape", /out/],
  ])("%s", async (_, plan, code, message) => {
    await expect(plan()).rejects.toMatchObject({ name: "AttentionError", code });
    await expect(plan()).rejects.toThrow(message);
  });
});

describe("the linear planner", () => {
  const plans = (problem: LinearProblem, at = capabilities, budget = 1e12) =>
    linearPasses(checkLinear(problem, at), at, budget);
  const plan = (problem: LinearProblem, at = capabilities) => plans(problem, at)[0]!;
  const software = {
    ...capabilities,
    subgroups: true,
    software: true,
  };

  test("tiles of 32 rows and 128 columns", () => {
    const pass = plan({ x: layout(2, 50, 1, 64), weight: layout(1, 1, 64, 300) });
    expect(pass.variant).toBe("vec4");
    expect(pass.workgroups).toEqual([4 * 3, 1, 1]);
    expect(pass.cost.flops).toBe(2 * 100 * 64 * 300);
  });

  test("dispatches are bounded, and together are the whole", () => {
    const problem = { x: layout(1, 4096, 1, 1024), weight: layout(1, 1, 1024, 1024) };
    const [whole] = plans(problem);
    const cut = plans(problem, capabilities, 1e9);
    expect(cut).toHaveLength(9);
    for (const { work } of cut) expect(work).toBeLessThanOrEqual(1e9);
    const sum = (part: (pass: Pass) => number) => cut.reduce((total, pass) => total + part(pass), 0);
    expect(sum(({ workgroups }) => workgroups[0])).toBe(whole!.workgroups[0]);
    expect(sum(({ cost }) => cost.flops)).toBeCloseTo(whole!.cost.flops, 0);
    const first = cut.map(({ uniforms }) => uniforms.params!.first_group);
    expect(first.slice(0, 2)).toEqual([0, cut[0]!.workgroups[0]]);
  });

  test("software adapters get quads where they have subgroups", () => {
    expect(plan({ x, weight }, software).variant).toBe("subgroups+vec4");
    expect(plan({ x, weight }, { ...software, subgroups: false }).variant).toBe("vec4");
    expect(plan({ x, weight }, { ...capabilities, subgroups: true }).variant).toBe("vec4");
  });

  test("vec4 needs aligned rows and whole groups of four channels", () => {
    const variant = (problem: Partial<LinearProblem>) => plan({ x, weight, ...problem }).variant;
    expect(variant({ weight: layout(1, 1, 8, 10) })).toBe("base");
    expect(variant({ x: { ...x, offset: 2 } })).toBe("base");
    expect(variant({ x: { ...x, strides: [30, 10, 10, 1] } })).toBe("base");
    expect(variant({ weight: { ...weight, strides: [0, 0, 1, 8] } })).toBe("vec4");
    expect(variant({ weight: { ...weight, strides: [0, 0, 24, 2] } })).toBe("base");
  });

  test("[out, in] weights are read along their rows", () => {
    const pass = plan({ x, weight: { ...weight, strides: [0, 0, 1, 8] } });
    expect(pass.constants).toMatchObject({ INNER_FIRST: true });
  });
});
