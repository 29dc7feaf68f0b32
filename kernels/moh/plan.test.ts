import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { MIXTURE_CASES } from "./cases.js";
import { projectionPasses } from "./projection-passes.js";
import { checkProjection, type HeadProjectionProblem } from "./projection-problem.js";
import { routerPasses } from "./router-passes.js";
import { checkRouter, type HeadRouterProblem } from "./router-problem.js";

const gpu = minimumCapabilities();
const cpu: Capabilities = { ...gpu, software: true, subgroups: true };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });
/** [out, in] row-major. */
const matrix = (inner: number, outer: number): TensorLayout => ({
  ...layout(1, 1, inner, outer),
  strides: [0, 0, 1, inner],
});

function route(
  tokens: number,
  options: Partial<HeadRouterProblem>,
  capabilities = gpu,
  budget = 1e12,
): Pass[] {
  const learned = options.router !== "norm";
  const problem = {
    heads: 8,
    sharedHeads: 2,
    topK: 2,
    ...(learned && { x: layout(1, tokens, 1, 512) }),
    ...options,
  };
  return routerPasses(checkRouter(problem, capabilities), capabilities, budget);
}

function project(
  [batches, tokens, heads, dim]: Shape4,
  options: Partial<HeadProjectionProblem>,
  capabilities = gpu,
  budget = 1e12,
): Pass[] {
  const problem = {
    attended: layout(batches, tokens, heads, dim),
    gates: layout(batches, tokens, heads, 1),
    weight: matrix(heads * dim, 512),
    bias: layout(1, 1, 1, 512),
    ...options,
  };
  return projectionPasses(checkProjection(problem, capabilities), capabilities, budget);
}

/** "pass variant workgroups" */
const summary = (passes: readonly Pass[]) =>
  passes.map(({ name, variant, workgroups }) => `${name.replace("moh/", "")} ${variant} ${workgroups[0]}`);

const weights = { routed: matrix(512, 6), shared: matrix(512, 2), balance: matrix(512, 2) };

describe("the router's passes", () => {
  test.each<[string, number, Partial<HeadRouterProblem>, string[]]>([
    [
      "two stages",
      1024,
      weights,
      [
        "logits, routed vec4 64",
        "logits, shared vec4 32",
        "logits, balance vec4 32",
        "gates base 16",
        "lists base 8",
      ],
    ],
    [
      "two stages with a loss",
      1024,
      { ...weights, loss: true, lists: false },
      [
        "logits, routed vec4 64",
        "logits, shared vec4 32",
        "logits, balance vec4 32",
        "gates base 16",
        "lists base 8",
        "loss base 1",
      ],
    ],
    [
      "no lists",
      64,
      { ...weights, lists: false },
      ["logits, routed vec4 16", "logits, shared vec4 8", "logits, balance vec4 8", "gates base 1"],
    ],
    [
      "no shared heads",
      1024,
      { sharedHeads: 0, routed: matrix(512, 8) },
      ["logits, routed vec4 64", "gates base 16", "lists base 8"],
    ],
    ["a shared head alone", 1024, { sharedHeads: 1, topK: 0 }, ["gates base 16", "lists base 8"]],
    [
      "norms",
      1024,
      { router: "norm", q: layout(1, 1024, 8, 64) },
      ["norms vec4 96", "gates base 16", "lists base 8"],
    ],
    [
      "norms of odd heads",
      10,
      { router: "norm", q: layout(1, 10, 8, 5) },
      ["norms base 1", "gates base 1", "lists base 8"],
    ],
  ])("%s", (_name, tokens, options, expected) => {
    expect(summary(route(tokens, options))).toEqual(expected);
  });

  it("read matrices stored [in, out] one number at a time", () => {
    const [first] = route(64, { ...weights, routed: layout(1, 1, 512, 6) });
    expect(first!.variant).toBe("base");
  });
});

describe("the projection's form follows the problem", () => {
  test.each<[string, Shape4, Partial<HeadProjectionProblem>, string[]]>([
    ["all heads active", [1, 1024, 8, 64], { sharedHeads: 2, topK: 6 }, ["project vec4 128"]],
    ["all heads active, by default", [1, 1024, 8, 64], {}, ["project vec4 128"]],
    [
      "half of them",
      [1, 1024, 8, 64],
      { sharedHeads: 2, topK: 2 },
      ["order base 1", "project, ordered vec4 128"],
    ],
    ["shared heads alone", [1, 1024, 8, 64], { sharedHeads: 3, topK: 0 }, ["project vec4 128"]],
    [
      "long sequences",
      [2, 5000, 8, 64],
      { sharedHeads: 0, topK: 4 },
      ["order base 10", "project, ordered vec4 1256"],
    ],
    [
      "more patterns than tokens",
      [1, 1024, 40, 128],
      { sharedHeads: 38, topK: 1 },
      ["order base 1", "project, ordered vec4 128"],
    ],
    [
      "heads too many to sort by",
      [1, 64, 14, 128],
      { sharedHeads: 2, topK: 4 },
      ["project vec4 8", ...Array.from({ length: 12 }, () => "project, listed vec4 8")],
    ],
    [
      "one of many heads",
      [1, 1024, 40, 64],
      { sharedHeads: 0, topK: 1 },
      ["order base 1", "project, ordered vec4 128"],
    ],
    ["a token of many batch entries", [64, 1, 8, 64], { sharedHeads: 2, topK: 2 }, ["project_rows vec4 512"]],
    ["few tokens", [4, 4, 8, 64], { sharedHeads: 2, topK: 2 }, ["project_rows vec4 128"]],
    ["odd widths", [1, 64, 8, 5], { sharedHeads: 2, topK: 2 }, ["order base 1", "project, ordered base 8"]],
    [
      "f16",
      [1, 64, 8, 64],
      { out: { dtype: "f16", shape: [1, 64, 1, 512] }, sharedHeads: 8 },
      ["project vec4 8", "store half_out+vec4 128"],
    ],
  ])("%s", (_name, shape, options, expected) => {
    expect(summary(project(shape, options))).toEqual(expected);
  });

  it("is listed in the cases that say so", () => {
    const listed = MIXTURE_CASES.filter(({ name }) => name.startsWith("heads too many"));
    for (const { batches, tokens, heads, valueDim, sharedHeads, topK } of listed) {
      const shape: Shape4 = [batches, tokens, heads, valueDim];
      expect(project(shape, { sharedHeads, topK }).at(-1)!.name).toBe("moh/project, listed");
      expect(project(shape, { sharedHeads, topK }, cpu).at(-1)!.name).toBe("moh/project, listed");
    }
    expect(listed).toHaveLength(3);
  });

  it("lets quads share rows on a CPU driver, where rows are whole vec4", () => {
    const half = { sharedHeads: 2, topK: 2 };
    const [order, ordered] = project([1, 1024, 8, 64], half, cpu);
    expect(order!.constants).toMatchObject({ TILE: 16, CHUNK: 1024 });
    expect(ordered).toMatchObject({ variant: "subgroups+vec4", workgroups: [128, 1, 1] });
    expect(project([1, 1024, 8, 5], half, cpu)[1]!.variant).toBe("base");
  });
});

describe("costs", () => {
  it("count active heads only", () => {
    const flops = (options: Partial<HeadProjectionProblem>, dim = 64) =>
      sumCosts(project([1, 1024, 8, dim], options).map(({ cost }) => cost)).flops;
    const all = flops({});
    expect(all).toBe(2 * 1024 * 8 * 64 * 512);
    expect(flops({ sharedHeads: 2, topK: 2 })).toBeCloseTo(all / 2, 0);
    expect(flops({ sharedHeads: 0, topK: 6 })).toBeCloseTo((3 * all) / 4, 0);
    const listed = project([1, 64, 14, 128], { sharedHeads: 2, topK: 4 });
    expect(sumCosts(listed.map(({ cost }) => cost)).flops).toBeCloseTo(2 * 64 * 6 * 128 * 512, 0);
  });
});

describe("dispatches are bounded", () => {
  test.each([
    ["ordered", { sharedHeads: 2, topK: 2 }],
    ["dense", {}],
  ])("%s", (_name, options) => {
    const whole = project([1, 1024, 8, 64], options);
    const cut = project([1, 1024, 8, 64], options, gpu, 1e8);
    expect(cut.length).toBeGreaterThan(whole.length);
    for (const { work, cost } of cut) expect(work ?? cost.flops).toBeLessThanOrEqual(1e8);
    const groups = (passes: readonly Pass[], name: string) =>
      passes.filter((pass) => pass.name === name).reduce((sum, { workgroups }) => sum + workgroups[0], 0);
    const { name } = whole.at(-1)!;
    expect(groups(cut, name)).toBe(groups(whole, name));
  });

  it("also of the router", () => {
    expect(route(60_000, weights, gpu, 1e6).length).toBeGreaterThan(20);
  });
});
