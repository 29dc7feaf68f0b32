import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { sumCosts } from "../../../src/dispatch/dispatch-budget.js";
import type { Pass } from "../../../src/dispatch/pass.js";
import { specialise } from "../../../src/dispatch/specialise.js";
import type { Shape4, TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { chunksOf, planPrefixSoftmax } from "./plan.js";
import { checkPrefixSoftmax, type PrefixSoftmaxProblem } from "./problem.js";

const gpu = minimumCapabilities();
const cpu: Capabilities = { ...gpu, software: true };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

function plan(
  tokens: number,
  options: Partial<PrefixSoftmaxProblem> = {},
  { capabilities = gpu, maxDispatchFlops = Number.POSITIVE_INFINITY, heads = 8, dim = 64 } = {},
): Pass[] {
  const x = layout(1, tokens, heads, dim);
  const shape = checkPrefixSoftmax({ q: x, k: x, v: x, ...options }, capabilities);
  return planPrefixSoftmax(shape, capabilities, maxDispatchFlops);
}

/** "pass variant workgroups" */
const summary = (passes: readonly Pass[]) =>
  passes.map(
    ({ name, variant, workgroups }) => `${name.replace("linear/prefix/", "")} ${variant} ${workgroups[0]}`,
  );

describe("passes", () => {
  test.each<[string, number, Capabilities, string[]]>([
    [
      "of many tokens",
      4096,
      gpu,
      ["scores vec4 512", "chunk_sums vec4 126", "scan base 2", "outputs vec4 128"],
    ],
    [
      "of many tokens on a CPU",
      4096,
      cpu,
      ["scores vec4 512", "chunk_sums vec4 16", "scan base 2", "outputs vec4 16"],
    ],
    ["of one chunk", 32, gpu, ["scores vec4 8", "outputs vec4 2"]],
    ["of one token", 1, gpu, ["scores vec4 8", "outputs vec4 2"]],
  ])("%s", (_name, tokens, capabilities, expected) => {
    expect(summary(plan(tokens, {}, { capabilities }))).toEqual(expected);
  });

  it("bind states where there are some", () => {
    const [, , scan, outputs] = plan(100, { state: true, stateOut: true });
    expect(scan!.bindings.state).toEqual({ tensor: "state" });
    expect(outputs!.bindings).toMatchObject({
      state: { tensor: "state" },
      state_out: { tensor: "stateOut" },
    });
    expect(outputs!.constants).toMatchObject({ HAS_STATE: true, WRITE_STATE: true });
    const [, plainOutputs] = plan(1);
    expect(plainOutputs!.bindings).toMatchObject({
      state: { unused: true },
      state_out: { unused: true },
      sums: { unused: true },
    });
  });
});

it("takes as few steps one after another as chunks allow", () => {
  expect([1, 32, 33, 1024, 1025, 4096, 65536, 1e6].map((tokens) => chunksOf(tokens).tokens)).toEqual([
    32, 32, 32, 32, 64, 64, 256, 1024,
  ]);
});

describe("work", () => {
  it("is linear in tokens", () => {
    const flops = (tokens: number) => sumCosts(plan(tokens).map(({ cost }) => cost)).flops;
    expect(flops(65536) / flops(16384)).toBeGreaterThan(3.9);
    expect(flops(65536) / flops(16384)).toBeLessThan(4.1);
  });

  it("stays within the bound of a dispatch, and none of it is lost", () => {
    const [whole, cut] = [plan(4096), plan(4096, {}, { maxDispatchFlops: 5e6 })];
    expect(cut.length).toBeGreaterThan(whole.length);
    for (const { work } of cut) expect(work).toBeLessThanOrEqual(5e6);
    const sum = (passes: typeof cut) => sumCosts(passes.map(({ cost }) => cost)).flops;
    expect(sum(cut) / sum(whole)).toBeCloseTo(1, 9);
  });

  it("needs memory linear in tokens, and takes heads in turns where it would not fit in a binding", () => {
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 20 });
    const v = layout(1, 2 ** 16, 5, 1);
    const shape = checkPrefixSoftmax({ q: v, k: v, v }, gpu);
    // Scores of a head: 256 KiB.
    const heads = planPrefixSoftmax(shape, small)
      .filter(({ name }) => name.endsWith("scan"))
      .map(({ uniforms }) => uniforms.params as { first_head: number; head_count: number });
    expect(heads.map(({ first_head, head_count }) => [first_head, head_count])).toEqual([
      [0, 4],
      [4, 1],
    ]);
    const tiny = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 17 });
    expect(() => planPrefixSoftmax(shape, tiny)).toThrowError(
      expect.objectContaining({ code: "limit", message: expect.stringMatching(/in pieces/) }),
    );
  });
});

it("leaves one loop to walk over a chunk, whatever the layout: llvmpipe ends all loops after 65,535 rounds together", () => {
  const passes = plan(2 ** 19, {}, { capabilities: cpu, heads: 1, dim: 30 });
  for (const name of ["chunk_sums", "outputs"]) {
    const { kernel, variant, constants, unroll } = passes.find((pass) => pass.name.endsWith(name))!;
    expect(variant).toBe("base");
    const code = specialise(kernel.variants[variant]!, { constants, unroll });
    expect(code.match(/\b(for|while|loop)\b/g), name).toEqual(["for"]);
  }
});
