import { describe, expect, it, test } from "vitest";
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { CompiledPasses } from "../../../src/dispatch/compiled-passes.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { packOperations } from "./operation-table.js";
import { planShift } from "./plan.js";
import { type AttentionShiftProblem, checkShiftProblem } from "./problem.js";
import { planShiftedAttention } from "./shifted-attention.js";
import type { KeyShift } from "./types.js";

const gpu = minimumCapabilities();
const llvmpipe: Capabilities = {
  ...gpu,
  software: true,
  adapter: { ...gpu.adapter, architecture: "llvmpipe" },
};
const calibration: KeyShift = {
  sinks: { received: "perKeys", alpha: 5, update: "running" },
  keep: 0.4,
  recipients: "nonsinks",
};
const inMap = (shift: KeyShift) => new Map([[0, shift]]);
const problem = (tokens: number, dim: number, heads = 1): AttentionShiftProblem => {
  const layout = { dtype: "f32", shape: [1, tokens, heads, dim] } as const;
  return { q: layout, k: layout, v: layout, causal: true, heads: inMap(calibration) };
};

function passesOf(given: AttentionShiftProblem, capabilities: Capabilities = gpu) {
  const shape = checkShiftProblem(given, capabilities);
  const { shifts, attention } = shape;
  const table = packOperations(new Uint32Array(2), shifts, attention, { given: false, spareNewest: false });
  const lists = { size: 4096 } as GPUBuffer;
  return planShift({ shape, table, lists, capabilities, maxDispatchFlops: 1e12 });
}

describe("the newest key", () => {
  const spares = (change: Partial<AttentionShiftProblem>) =>
    checkShiftProblem({ ...problem(8, 8), ...change }, gpu).spareNewest;
  it("is spared where it is asked for", () => {
    expect(spares({})).toBe(false);
    expect(spares({ spareNewest: true })).toBe(true);
  });

  it("is spared by running rules only", () => {
    const word = (shift: KeyShift, spareNewest: boolean) => {
      const { shifts, attention } = checkShiftProblem({ ...problem(8, 8), heads: inMap(shift) }, gpu);
      const table = packOperations(new Uint32Array(2), shifts, attention, { given: false, spareNewest });
      return table.values[table.operationsAt + 16];
    };
    expect(word(calibration, true)).toBe(1);
    expect(word(calibration, false)).toBe(0);
    expect(word({ ...calibration, sinks: { received: "abs", theta: 0.1 } }, true)).toBe(0);
  });
});

test("a threshold of -0 is 0, whose bits are compared", () => {
  const shift: KeyShift = { ...calibration, sinks: { received: "abs", theta: -0 } };
  const { shifts, attention } = checkShiftProblem({ ...problem(8, 8), heads: inMap(shift) }, gpu);
  const table = packOperations(new Uint32Array(2), shifts, attention, { given: false, spareNewest: false });
  expect(table.values[table.operationsAt + 13]).toBe(0);
});

describe("loops where llvmpipe ends them", () => {
  const unrolled = (given: AttentionShiftProblem, capabilities: Capabilities) =>
    passesOf(given, capabilities).find(({ name }) => name === "shift/shift")!.unroll;

  it("over many keys have few rounds", () => {
    expect(unrolled(problem(1000, 64), llvmpipe)).not.toHaveProperty("HEAD_DIM4");
    expect(unrolled(problem(8000, 128), llvmpipe)).toMatchObject({ HEAD_DIM4: 32, COLUMNS: 16 });
    expect(unrolled(problem(8000, 128), gpu)).not.toHaveProperty("HEAD_DIM4");
  });

  it("are refused where they are too long even so", () => {
    const limit = expect.objectContaining({ code: "limit" });
    expect(() => passesOf(problem(70_000, 64), llvmpipe)).toThrow(limit);
    expect(passesOf(problem(70_000, 64), gpu)).not.toHaveLength(0);
  });
});

test("state of rows that a device cannot bind is refused before anything is compiled", async () => {
  const heads = 32;
  const given = problem(8192, 128, heads);
  const all = new Map(Array.from({ length: heads }, (_, head) => [head, calibration] as const));
  const passes = passesOf({ ...given, heads: all });
  const tables = { terms: { values: new Uint32Array(4) } };
  await expect(CompiledPasses.compile({ capabilities: gpu } as never, passes, tables)).rejects.toThrow(
    expect.objectContaining({ code: "limit" }),
  );
});

describe("what does not fit is refused before a GPU call", () => {
  it.each<[string, string, object]>([
    [
      "hidden states that are missing",
      "shape",
      { heads: inMap({ ...calibration, sinks: { hidden: { dims: [1], tau: 2 } } }) },
    ],
    ["shifts that are no map", "shape", { heads: { 0: calibration } }],
    ["a batch entry without a map", "shape", { heads: [undefined] }],
  ])("%s", (_name, code, change) => {
    const given = { ...problem(8, 8), ...change } as AttentionShiftProblem;
    expect(() => checkShiftProblem(given, gpu)).toThrow(expect.objectContaining({ code }));
  });

  it.each(["received", "rowTerms", "spareNewest"])(
    "%s beside attention and shift in one plan",
    async (name) => {
      const given = { ...problem(8, 8), [name]: true } as never;
      await expect(planShiftedAttention(undefined as never, given)).rejects.toThrow(
        expect.objectContaining({ code: "unsupported" }),
      );
    },
  );
});
