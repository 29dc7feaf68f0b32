import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { shapesOf } from "./case-inputs.js";
import { AGENT_CASES } from "./cases.js";
import { problemOf } from "./check-case.js";
import { planAgents } from "./plan.js";
import { type AgentProblem, checkAgentProblem } from "./problem.js";

const gpu = minimumCapabilities();
const cpu: Capabilities = { ...gpu, software: true, subgroups: true };
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Self attention of `heads` heads of 64 over a square image, with 49 pooled agents and a convolution. */
function image(side: number, heads = 1, changes: Partial<AgentProblem> = {}): AgentProblem {
  const x = layout(1, side * side, heads, 64);
  const grid = [side, side] as const;
  const depthwise = { weight: layout(1, 9, heads, 64), grid };
  return { q: x, k: x, v: x, agents: { grid, pool: 7 }, depthwise, ...changes };
}

const plan = (problem: AgentProblem, capabilities = gpu, budget?: number) =>
  planAgents(checkAgentProblem(problem, capabilities), capabilities, budget);
const named = (passes: readonly Pass[], name: string) =>
  passes.filter((pass) => pass.name === `agent/${name}`);
const groupsOf = ([x, y]: Pass["workgroups"]) => x * y;

describe("the planner", () => {
  test.each<[string, AgentProblem, Capabilities, string[]]>([
    [
      "a pooled image",
      image(64),
      gpu,
      ["pool vec4 49", "aggregate vec4 128", "merge base 13", "taps base 3", "broadcast vec4 64"],
    ],
    [
      "a pooled image on a CPU driver",
      image(64),
      cpu,
      [
        "pool vec4 49",
        "aggregate subgroups+vec4 32",
        "merge base 13",
        "taps base 3",
        "broadcast subgroups+vec4 128",
      ],
    ],
    [
      "given agents of odd width",
      { q: layout(2, 9, 3, 5), agents: layout(2, 4, 3, 5), k: layout(2, 7, 3, 5), v: layout(2, 7, 3, 6) },
      gpu,
      ["pool base 24", "aggregate base 6", "merge base 1", "broadcast base 6"],
    ],
    [
      "halves",
      (() => {
        const half = { dtype: "f16", shape: [1, 9, 1, 8] } as const;
        return { q: half, agents: half, k: half, v: half };
      })(),
      gpu,
      ["pool half+vec4 9", "aggregate half+vec4 1", "merge base 1", "broadcast half+half_out+vec4 1"],
    ],
  ])("%s", (_name, problem, capabilities, expected) => {
    const passes = plan(problem, capabilities);
    expect(
      passes.map(({ name, variant, workgroups }) => `${name.slice(6)} ${variant} ${groupsOf(workgroups)}`),
    ).toEqual(expected);
  });

  it("fills a GPU with one head", () => {
    const [aggregate] = named(plan(image(64)), "aggregate");
    expect(groupsOf(aggregate!.workgroups)).toBeGreaterThanOrEqual(128);
    const [few] = named(plan(image(64, 64)), "aggregate");
    expect(few!.constants!.SPLITS).toBe(2);
  });

  it("never cuts keys finer than is worth a workgroup, nor into more than there are", () => {
    expect(named(plan(image(7)), "aggregate")[0]!.constants!.SPLITS).toBe(2);
    const one = layout(1, 1, 1, 4);
    const passes = plan({ q: one, k: one, v: one, agents: one }, gpu, 1);
    expect(named(passes, "aggregate")[0]!.constants!.SPLITS).toBe(1);
  });

  it.each([
    ["an even line", 14, 7, true],
    ["a prime line", 11, 6, false],
    ["a short line", 5, 5, true],
  ])("takes %s in runs of equal length on a CPU driver", (_name, side, ROWS, EVEN_RUNS) => {
    expect(named(plan(image(side), cpu), "broadcast")[0]!.constants).toMatchObject({ ROWS, EVEN_RUNS });
  });

  it.each([9, 16, 49, 81, 256])("wastes little of a tile on %i agents", (agents) => {
    const q = layout(1, 64, 1, 64);
    const passes = plan({ q, k: q, v: q, agents: layout(1, agents, 1, 64) }, cpu);
    const { ROWS } = named(passes, "aggregate")[0]!.constants as { ROWS: number };
    expect((4 * ROWS * Math.ceil(agents / (4 * ROWS))) / agents).toBeLessThan(1.34);
    const { KEYS } = named(passes, "broadcast")[0]!.constants as { KEYS: number };
    expect((KEYS * Math.ceil(agents / KEYS)) / agents).toBeLessThan(1.12);
  });

  it("counts the operations of both products and of the convolution", () => {
    const passes = plan(image(64));
    const flops = (name: string) => named(passes, name).reduce((sum, { cost }) => sum + cost.flops, 0);
    expect(flops("aggregate")).toBeCloseTo(2 * 49 * 4096 * 128, 0);
    expect(flops("broadcast")).toBeCloseTo(2 * 49 * 4096 * 128 + 2 * 9 * 64 * 4096, 0);
  });

  it.each([1e8, 1e7])("holds no more than %d operations in a dispatch, and leaves none out", (budget) => {
    for (const capabilities of [gpu, cpu]) {
      const problem = image(64, 8, { agentBias: layout(1, 8, 49, 4096), queryBias: layout(1, 8, 4096, 49) });
      const whole = plan(problem, capabilities);
      const cut = plan(problem, capabilities, budget);
      for (const { work = 0 } of cut) expect(work).toBeLessThanOrEqual(budget);
      for (const name of ["pool", "merge", "broadcast"]) {
        const runs = named(cut, name).map(({ uniforms }) => uniforms.params as Record<string, number>);
        runs.forEach(({ first_group }, index) => {
          const before = runs[index - 1];
          expect(first_group).toBe(before ? before.first_group! + before.groups! : 0);
        });
        const all = runs.reduce((sum, { groups }) => sum + groups!, 0);
        expect(all).toBe(groupsOf(named(whole, name)[0]!.workgroups));
      }
    }
  });

  it("has no scratch of the size of queries times keys", () => {
    const sources = plan(image(256)).flatMap((pass) => Object.values(pass.bindings));
    const bytes = sources.map((source) => ("bytes" in source ? source.bytes : 0));
    expect(Math.max(...bytes)).toBeLessThan(2 ** 22);
  });

  it("cuts into fewer ranges than it would where their sums would not fit in a binding, and says what to do about agents", () => {
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 16 });
    const x = layout(1, 64, 1, 64);
    const problem = (agents: number) => ({ q: x, k: x, v: x, agents: layout(1, agents, 1, 64) });
    const held = plan(problem(200), small).flatMap((pass) => Object.values(pass.bindings));
    for (const source of held) expect("bytes" in source ? source.bytes : 0).toBeLessThanOrEqual(2 ** 16);
    const wide = { ...problem(256), v: layout(1, 64, 1, 68), k: x };
    expect(() => plan(wide, small)).toThrow(/agents.*65536.*69632.*Split/);
  });

  it("reads aligned rows whole, and others by channel, pass by pass", () => {
    const x = layout(1, 16, 1, 8);
    const odd = { ...x, offset: 1 };
    const agents = layout(1, 4, 1, 8);
    const variants = (changes: Partial<AgentProblem>) =>
      plan({ q: x, k: x, v: x, agents, ...changes }).map(
        ({ name, variant }) => `${name.slice(6)} ${variant}`,
      );
    expect(variants({ q: odd })).toEqual(["pool vec4", "aggregate vec4", "merge base", "broadcast base"]);
    expect(variants({ v: odd })).toEqual(["pool vec4", "aggregate base", "merge base", "broadcast vec4"]);
    expect(variants({ v: odd, shortcut: 1 })).toContain("broadcast base");
    expect(variants({ out: odd })).toContain("broadcast base");
    expect(variants({ agents: { ...agents, offset: 1 } })).toContain("pool base");
  });

  it("binds no more buffers than WebGPU's minimum, for every case", () => {
    for (const problem of AGENT_CASES) {
      const tensors = Object.fromEntries(
        Object.entries(shapesOf(problem)).map(([name, shape]) => [name, layout(...shape)]),
      ) as Record<"q" | "k" | "v" | "out" | "agents", TensorLayout>;
      const { heads, valueDim } = problem;
      const weights = { depthwiseWeight: layout(1, 9, heads, valueDim) };
      for (const { kernel, variant } of plan(problemOf(problem, { ...tensors, ...weights }))) {
        const storage = kernel.variants[variant]!.bindings.filter(({ type }) => type !== "uniform");
        expect(storage.length).toBeLessThanOrEqual(8);
      }
    }
  });
});
