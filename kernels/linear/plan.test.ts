import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { backwardCores } from "./backward.js";
import { blockPasses } from "./block-form.js";
import { forwardCore } from "./index.js";
import { planCore } from "./plan.js";
import { checkLinear, checkLinearBackward, type LinearProblem } from "./problem.js";

const gpu = minimumCapabilities();
const cpu: Capabilities = { ...gpu, software: true, subgroups: true };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

function core(tokens: number, options: Partial<LinearProblem> = {}, heads = 8, dim = 64, batches = 1) {
  const x = layout(batches, tokens, heads, dim);
  return forwardCore(checkLinear({ q: x, k: x, v: x, ...options }, gpu));
}

const names = (passes: readonly { name: string }[]) => passes.map(({ name }) => name);

describe("the form follows the shape", () => {
  test.each<[string, number, Capabilities, number, number, string[]]>([
    ["one token", 1, gpu, 8, 1, ["linear/recurrent"]],
    ["as many as one dispatch takes", 16, cpu, 8, 1, ["linear/recurrent"]],
    ["a prompt on few heads", 17, gpu, 8, 1, ["linear/block_states", "linear/scan", "linear/outputs"]],
    [
      "a prompt on a CPU driver",
      500,
      cpu,
      8,
      1,
      ["linear/block_state_rows", "linear/scan", "linear/output_rows"],
    ],
    ["heads that fill a GPU", 500, gpu, 32, 16, ["linear/serial"]],
    [
      "the same on a CPU driver",
      500,
      cpu,
      32,
      16,
      ["linear/block_state_rows", "linear/scan", "linear/output_rows"],
    ],
  ])("%s", (_name, tokens, capabilities, heads, batches, expected) => {
    expect(names(planCore(core(tokens, {}, heads, 64, batches), capabilities))).toEqual(expected);
  });

  it("has no serial form where a workgroup would take too long", () => {
    const wide = core(1000, {}, 64, 16, 16);
    expect(names(planCore(wide, gpu))).toEqual(["linear/serial"]);
    const [first] = planCore(wide, gpu, 1e6);
    expect(first!.name).toBe("linear/block_states");
  });

  it("writes gradients in blocks, one sum after another", () => {
    const x = layout(1, 30, 2, 8);
    const shape = checkLinearBackward({ q: x, k: x, v: x, dOut: x }, gpu);
    const passes = backwardCores(shape).flatMap((one) => planCore(one, gpu));
    expect(names(passes)).toEqual(
      ["dq", "dk", "dv"].flatMap((name) =>
        ["block_states", "scan", "outputs"].map((pass) => `linear/${name}/${pass}`),
      ),
    );
  });
});

describe("work", () => {
  it("is linear in tokens: state in, state out, and the pairs of each block", () => {
    const flops = (tokens: number) =>
      sumCosts(planCore(core(tokens, {}, 1), gpu).map(({ cost }) => cost)).flops;
    expect(flops(4096) / flops(1024)).toBeCloseTo(4, 5);
    const products = 2 * 1024 * 2 * 64 * 64 + 16 * ((64 * 65) / 2) * 2 * 128;
    const scan = 4 * 16 * 64 * 64;
    expect(flops(1024)).toBeCloseTo(products + scan, -1);
  });

  it("stays within the bound of a dispatch, and none of it is lost", () => {
    const bound = 2e7;
    const whole = planCore(core(4096), cpu);
    const cut = planCore(core(4096), cpu, bound);
    expect(cut.length).toBeGreaterThan(whole.length);
    for (const { cost } of cut) expect(cost.flops).toBeLessThanOrEqual(bound);
    const sum = (passes: typeof cut) => sumCosts(passes.map(({ cost }) => cost)).flops;
    expect(sum(cut) / sum(whole)).toBeCloseTo(1, 9);
  });

  it("covers every workgroup once", () => {
    for (const name of ["linear/block_state_rows", "linear/output_rows"]) {
      const runs = planCore(core(1000), cpu, 5e6)
        .filter((pass) => pass.name === name)
        .map(({ uniforms }) => uniforms.params as { first_group: number; groups: number });
      let next = 0;
      for (const { first_group, groups } of runs) {
        expect(first_group).toBe(next);
        next += groups;
      }
      expect(next).toBeGreaterThan(0);
    }
  });

  it("holds the states of as many blocks as a binding has room for, and goes on in rounds", () => {
    const problem = core(640, {}, 2, 16);
    const stateBytes = 2 * 16 * 16 * 4;
    const passes = blockPasses(problem, gpu, Number.POSITIVE_INFINITY, 3.5 * stateBytes);
    const rounds = passes
      .filter(({ name }) => name === "linear/scan")
      .map(({ uniforms }) => uniforms.params as { blocks: number; first_block: number });
    expect(rounds.map(({ first_block, blocks }) => [first_block, blocks])).toEqual([
      [0, 3],
      [3, 3],
      [6, 3],
      [9, 1],
    ]);
    for (const { bindings } of passes)
      for (const source of Object.values(bindings))
        if ("bytes" in source) expect(source.bytes).toBeLessThanOrEqual(3 * stateBytes);
  });

  it("is refused where not even one block's states fit", () => {
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 1000 });
    expect(() => blockPasses(core(100), small, 1e9)).toThrowError(expect.objectContaining({ code: "limit" }));
  });
});

it("reads four channels at a time where rows are aligned, halves by their storage", () => {
  const variant = (options: Partial<LinearProblem>, dim = 64) =>
    planCore(core(100, options, 2, dim), gpu).at(-1)!.variant;
  expect(variant({})).toBe("vec4");
  expect(variant({}, 6)).toBe("base");
  const half = { ...layout(1, 100, 2, 64), dtype: "f16" } as const;
  expect(variant({ q: half, k: half, v: half })).toBe("half+half_out+vec4");
  expect(variant({ q: half, k: half, v: half, out: layout(1, 100, 2, 64) })).toBe("half+vec4");
});
