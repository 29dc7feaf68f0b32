import { describe, expect, test } from "vitest";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { SOFTMAX_CASES, shapesOf } from "./cases.js";
import { planSoftmax } from "./plan.js";
import { checkProblem, type SoftmaxProblem } from "./problem.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });
const plan = (problem: SoftmaxProblem) => planSoftmax(checkProblem(problem, capabilities), capabilities);

/** [B, T, H, D] of q, of k; passes "name variant workgroups" */
const PLANS: readonly [string, Shape4, Shape4, readonly string[]][] = [
  ["prefill", [1, 512, 8, 64], [1, 512, 8, 64], ["softmax/tiled vec4 128,1,1"]],
  ["nine queries are no decode", [1, 9, 8, 64], [1, 512, 8, 64], ["softmax/tiled vec4 8,1,1"]],
  ["odd head dim", [1, 64, 8, 15], [1, 64, 8, 15], ["softmax/tiled base 8,1,1"]],
  ["decode", [1, 1, 8, 64], [1, 2048, 8, 64], ["softmax/split vec4 64,1,1", "softmax/merge vec4 8,1,1"]],
  [
    "decode, grouped heads share keys",
    [1, 1, 8, 64],
    [1, 2048, 2, 64],
    ["softmax/split vec4 16,1,1", "softmax/merge vec4 8,1,1"],
  ],
  ["decode, short", [1, 1, 8, 64], [1, 100, 8, 64], ["softmax/split vec4 8,1,1", "softmax/merge vec4 8,1,1"]],
  [
    "decode of eight",
    [1, 8, 4, 64],
    [1, 1024, 1, 64],
    ["softmax/split vec4 16,1,1", "softmax/merge vec4 32,1,1"],
  ],
  [
    "more workgroups than a dimension takes",
    [2000, 40, 40, 4],
    [2000, 40, 40, 4],
    ["softmax/tiled vec4 40000,2,1"],
  ],
];

describe("the planner", () => {
  test.each(PLANS)("%s", (_name, q, k, expected) => {
    const passes = plan({ q: layout(...q), k: layout(...k), v: layout(...k) });
    expect(passes.map(({ name, variant, workgroups }) => `${name} ${variant} ${workgroups}`)).toEqual(
      expected,
    );
  });

  test.each([
    ["strides", { strides: [1024, 66, 64, 1] as Shape4 }],
    ["channel stride", { strides: [4096, 64, 64, 2] as Shape4 }],
    ["offset", { offset: 2 }],
  ])("takes the scalar variant when the %s of one tensor is not aligned", (_name, change) => {
    const q = layout(1, 16, 1, 64);
    expect(plan({ q: { ...q, ...change }, k: q, v: q })[0]!.variant).toBe("base");
    expect(plan({ q, k: q, v: { ...q, ...change } })[0]!.variant).toBe("base");
    expect(plan({ q, k: q, v: q, out: { ...q, ...change } })[0]!.variant).toBe("base");
    expect(plan({ q, k: q, v: q })[0]!.variant).toBe("vec4");
  });

  test("counts the work that a causal mask leaves", () => {
    const q = layout(1, 100, 2, 32);
    const [full, causal] = [plan({ q, k: q, v: q })[0]!.cost, plan({ q, k: q, v: q, causal: true })[0]!.cost];
    expect(full.flops).toBe(2 * 100 * 100 * 2 * 64);
    expect(causal.flops).toBe((2 * 100 * 101 * 2 * 64) / 2);
    expect(full.bytes).toBe(4 * 4 * 100 * 2 * 32);
  });

  test("never holds anything of the size Tq x Tk", () => {
    const [q, k] = [layout(1, 8, 2, 64), layout(1, 100_000, 2, 64)];
    const scratch = plan({ q, k, v: k })
      .flatMap((pass) => Object.values(pass.bindings))
      .reduce((sum, source) => sum + ("bytes" in source ? source.bytes : 0), 0);
    expect(scratch).toBeLessThan(2 * 8 * 64 * (64 + 2) * 4 * 2 + 1);
  });

  test("cuts what would take too long over rows, then over keys", () => {
    const q = layout(1, 512, 8, 64);
    const problem = checkProblem({ q, k: q, v: q }, capabilities);
    const cut = (maxDispatchFlops: number) => planSoftmax(problem, capabilities, { maxDispatchFlops });
    const whole = cut(1e12);
    expect(whole).toHaveLength(1);
    for (const budget of [1e8, 2e7]) {
      const parts = cut(budget);
      expect(parts.every(({ name, cost }) => name === "softmax/tiled" && cost.flops <= budget)).toBe(true);
      const groups = parts.map((pass) => pass.uniforms.params as { first_group: number; groups: number });
      groups.forEach(({ first_group }, index) => {
        const before = groups[index - 1];
        expect(first_group).toBe(before ? before.first_group + before.groups : 0);
      });
      expect(groups.reduce((sum, { groups: count }) => sum + count, 0)).toBe(128);
      expect(parts.reduce((sum, { cost }) => sum + cost.flops, 0)).toBeCloseTo(whole[0]!.cost.flops, 0);
    }
    const byKeys = cut(1e6);
    expect(new Set(byKeys.map(({ name }) => name))).toEqual(new Set(["softmax/split", "softmax/merge"]));
    for (const { cost } of byKeys) expect(cost.flops).toBeLessThanOrEqual(1e6);
  });

  test("never binds partial sums beyond the device's limit", () => {
    const limit = capabilities.limits.maxStorageBufferBindingSize;
    // 64 MiB a tensor: cut along the keys, its partial sums would be many times the limit.
    const long = layout(1, 32_768, 8, 64);
    const problem = checkProblem({ q: long, k: long, v: long }, capabilities);
    const passes = planSoftmax(problem, capabilities, { maxDispatchFlops: 2e7 });
    const sources = passes.flatMap((pass) => Object.values(pass.bindings));
    for (const source of sources) expect("bytes" in source ? source.bytes : 0).toBeLessThanOrEqual(limit);
    expect(new Set(passes.map(({ name }) => name))).toEqual(new Set(["softmax/tiled"]));
    // Nothing else can serve a decode, which says so.
    const keys = layout(4096, 8, 1, 64);
    const decode = checkProblem({ q: layout(4096, 8, 16, 64), k: keys, v: keys }, capabilities);
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 26 });
    expect(() => planSoftmax(decode, small)).toThrow(/partial sums.*67108864.*134217728/);
  });

  test("gives a CPU driver fewer rows a workgroup before it cuts along the keys", () => {
    const cpu = { ...capabilities, adapter: { ...capabilities.adapter, architecture: "swiftshader" } };
    const names = (tokens: number) => {
      const q = layout(1, tokens, 1, 64);
      const passes = planSoftmax(checkProblem({ q, k: q, v: q }, cpu), cpu, { maxDispatchFlops: 1e8 });
      return [...new Set(passes.map((pass) => `${pass.name} ${pass.constants.THREADS ?? "-"}`))];
    };
    expect(names(4096)).toEqual(["softmax/rows 8"]);
    expect(names(8192)).toEqual(["softmax/rows 4"]);
    expect(names(16_384)).toEqual(["softmax/strips 4", "softmax/merge -"]);
  });

  test("binds no more buffers than WebGPU's minimum, for every case", () => {
    for (const problem of SOFTMAX_CASES) {
      const { q, k, v } = shapesOf(problem);
      const { causal, window } = problem.options;
      const options = { ...(causal && { causal }), ...(window && { window }) };
      for (const pass of plan({ q: layout(...q), k: layout(...k), v: layout(...v), ...options })) {
        const used = pass.kernel.variants[pass.variant]!.bindings.filter(
          ({ name, type }) => type !== "uniform" && !("unused" in pass.bindings[name]!),
        );
        expect(used.length).toBeLessThanOrEqual(8);
      }
    }
  });

  test("takes no more rounds of loops than llvmpipe lets an invocation", () => {
    const cpu = { ...capabilities, adapter: { ...capabilities.adapter, architecture: "llvmpipe" } };
    const keys = layout(1, 40_000, 1, 64);
    const long = checkProblem({ q: layout(1, 64, 1, 64), k: keys, v: keys }, cpu);
    expect(planSoftmax(long, cpu)[0]!.unroll).toMatchObject({ HEAD_DIM4: 16 });
    const short = checkProblem(
      { q: layout(1, 64, 1, 64), k: layout(1, 20_000, 1, 64), v: layout(1, 20_000, 1, 64) },
      cpu,
    );
    expect(planSoftmax(short, cpu)[0]!.unroll).not.toHaveProperty("HEAD_DIM4");
    const rolled = {
      kernel: "rows",
      threads: 4,
      rows: 2,
      keys: 8,
      columns: 16,
      subgroups: false,
      unroll: false,
      f16: false,
    } as const;
    expect(planSoftmax(long, cpu, { configuration: rolled }).map(({ name }) => name)).toEqual([
      "softmax/strips",
      "softmax/merge",
    ]);

    const wide = layout(1, 40_000, 1, 256);
    const q = layout(1, 64, 1, 256);
    const queryRows = { size: 4 * 65, usage: 0x80 } as GPUBuffer;
    expect(planSoftmax(checkProblem({ q, k: wide, v: wide }, cpu), cpu)[0]!.name).toBe("softmax/strips");
    expect(() => planSoftmax(checkProblem({ q, k: wide, v: wide, queryRows }, cpu), cpu)).toThrow(
      /65,535 rounds/,
    );
  });

  test("keeps a given tile, and chooses that of packed sequences by the longest", () => {
    const q = layout(1, 512, 1, 64);
    const queryRows = { size: 4 * 513, usage: 0x80 } as GPUBuffer;
    const few = layout(1, 40, 1, 64);
    const listed = checkProblem({ q: few, k: few, v: few, queryRows }, capabilities);
    const given = {
      kernel: "tiled",
      groups: 16,
      lanes: 4,
      rows: 4,
      keys: 4,
      staged: false,
      f16: false,
    } as const;
    expect(planSoftmax(listed, capabilities, { configuration: given })[0]!.constants).toMatchObject({
      GROUPS: 16,
      ROWS: 4,
    });
    const offsets = Array.from({ length: 129 }, (_, n) => 4 * n);
    const packed = checkProblem({ q, k: q, v: q, queryOffsets: offsets, keyOffsets: offsets }, capabilities);
    const plain = checkProblem({ q, k: q, v: q }, capabilities);
    const rowsOf = (shape: typeof plain) => planSoftmax(shape, capabilities)[0]!.constants.ROWS;
    expect(rowsOf(packed)).toBe(2);
    expect(rowsOf(plain)).toBe(4);
  });
});
