import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { planFlow } from "./plan.js";
import { checkProblem, type FlowProblem } from "./problem.js";

const gpu = minimumCapabilities();
const cpu: Capabilities = { ...gpu, software: true };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

function plan(
  tokens: number,
  options: Partial<FlowProblem> = {},
  { capabilities = gpu, maxDispatchFlops = Number.POSITIVE_INFINITY, heads = 8, dim = 64 } = {},
): Pass[] {
  const x = layout(1, tokens, heads, dim);
  const shape = checkProblem({ q: x, k: x, v: x, ...options }, capabilities);
  return planFlow(shape, capabilities, { maxDispatchFlops });
}

/** "pass variant workgroups" */
const summary = (passes: readonly Pass[]) =>
  passes.map(({ name, variant, workgroups }) => `${name.replace("flow/", "")} ${variant} ${workgroups[0]}`);

describe("the form follows the problem", () => {
  test.each<[string, number, Partial<FlowProblem>, string[]]>([
    [
      "whole",
      4096,
      {},
      [
        "features vec4 256",
        "features vec4 256",
        "totals base 16",
        "flows base 256",
        "flows base 256",
        "totals base 16",
        "aggregate vec4 256",
        "merge base 128",
        "allocate vec4 512",
      ],
    ],
    [
      "causal",
      4096,
      { causal: true },
      [
        "features vec4 512",
        "features vec4 512",
        "scan_vectors base 8",
        "causal_flows base 512",
        "scan_vectors base 8",
        "causal_conserve base 512",
        "causal_aggregate vec4 512",
        "scan_matrices base 136",
        "causal_allocate vec4 512",
      ],
    ],
    ["one causal token", 1, { causal: true }, ["step vec4 8"]],
  ])("%s", (_name, tokens, options, expected) => {
    expect(summary(plan(tokens, options))).toEqual(expected);
  });

  it("shares wide heads out over workgroups", () => {
    const groups = (name: string) =>
      plan(64, {}, { heads: 1, dim: 256 }).find((pass) => pass.name === `flow/${name}`)!.workgroups[0];
    expect([groups("aggregate"), groups("allocate")]).toEqual([16, 4]);
  });

  it("cuts few heads into more chunks, and fewer on a CPU driver", () => {
    const chunks = (heads: number, capabilities: Capabilities) =>
      plan(8192, {}, { heads, capabilities })[0]!.workgroups[0] / heads;
    expect([chunks(1, gpu), chunks(8, gpu), chunks(64, gpu), chunks(1, cpu)]).toEqual([128, 32, 16, 16]);
  });

  it("knows which scores need a maximum", () => {
    const bounded = (clamp: number | null) => plan(100, { clamp })[6]!.constants.BOUNDED;
    expect([bounded(1), bounded(10), bounded(30), bounded(31), bounded(null)]).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("work", () => {
  it("is linear in tokens", () => {
    for (const causal of [false, true]) {
      const flops = (tokens: number) => sumCosts(plan(tokens, { causal }).map(({ cost }) => cost)).flops;
      expect(flops(65536) / flops(16384)).toBeGreaterThan(3.9);
      expect(flops(65536) / flops(16384)).toBeLessThan(4.1);
    }
  });

  it("stays within the bound of a dispatch, and none of it is lost", () => {
    for (const causal of [false, true]) {
      const [whole, cut] = [plan(4096, { causal }), plan(4096, { causal }, { maxDispatchFlops: 2e7 })];
      expect(cut.length).toBeGreaterThan(whole.length);
      for (const { work } of cut) expect(work).toBeLessThanOrEqual(2e7);
      const sum = (passes: typeof cut) => sumCosts(passes.map(({ cost }) => cost)).flops;
      expect(sum(cut) / sum(whole)).toBeCloseTo(1, 9);
    }
  });

  it("takes heads in turns where their scratch would not fit in a binding", () => {
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 25 });
    // A head's products: 64 tiles of 64 x 80 numbers, so that 32 MiB hold those of 25 heads, and 128 MiB those of all.
    const x = layout(1, 4096, 70, 64);
    const shape = checkProblem({ q: x, k: x, v: x, causal: true }, gpu);
    expect(planFlow(shape, gpu).length).toBe(9);
    const turns = planFlow(shape, small);
    const heads = turns
      .filter(({ name }) => name === "flow/scan_matrices")
      .map(({ uniforms }) => uniforms.params as { first_head: number; head_count: number });
    expect(heads.map(({ first_head, head_count }) => [first_head, head_count])).toEqual([
      [0, 25],
      [25, 25],
      [50, 20],
    ]);
    for (const { bindings } of turns)
      for (const source of Object.values(bindings))
        if ("bytes" in source) expect(source.bytes).toBeLessThanOrEqual(2 ** 25);
  });

  it("is refused where not even one head's scratch fits", () => {
    const x = layout(1, 100_000, 1, 256);
    const shape = checkProblem({ q: x, k: x, v: x, causal: true }, gpu);
    expect(() => planFlow(shape, gpu)).toThrowError(
      expect.objectContaining({ code: "limit", message: expect.stringMatching(/in pieces/) }),
    );
  });
});

it("spreads more workgroups than a dimension takes, and binds at most eight buffers", () => {
  const x = layout(300, 1, 300, 4);
  const shape = checkProblem({ q: x, k: x, v: x, causal: true }, gpu);
  expect(planFlow(shape, gpu)[0]!.workgroups).toEqual([45_000, 2, 1]);
  for (const pass of [...plan(70), ...plan(70, { causal: true }), ...plan(1, { causal: true })])
    expect(Object.keys(pass.bindings).length).toBeLessThanOrEqual(8);
});

it("reads four channels at a time where rows are aligned, halves by their storage", () => {
  const variants = (options: Partial<FlowProblem>, dim = 64) =>
    plan(70, options, { heads: 2, dim })
      .filter(({ name }) => /features|aggregate|allocate/.test(name))
      .map(({ variant }) => variant)
      .join(" ");
  expect(variants({})).toBe("vec4 vec4 vec4 vec4");
  expect(variants({}, 6)).toBe("base base base base");
  expect(variants({ k: { ...layout(1, 70, 2, 64), offset: 2 } })).toBe("vec4 base vec4 vec4");
  const half = { ...layout(1, 70, 2, 64), dtype: "f16" } as const;
  expect(variants({ q: half, k: half, v: half })).toBe("half+vec4 half+vec4 half+vec4 half_out+vec4");
  expect(variants({ q: half, k: half, v: half, out: layout(1, 70, 2, 64), causal: true })).toBe(
    "half+vec4 half+vec4 half+vec4 half+vec4",
  );
});
