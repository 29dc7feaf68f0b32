import { describe, expect, it } from "vitest";
import { mixProgram } from "./program.js";
import type { HeadSteps, PatternStep } from "./types.js";

const towards = (target: string, u: number, path?: string) =>
  ({ kind: "mix", target, u, ...(path && { path }) }) as PatternStep;
const double: PatternStep = { kind: "gain", output: 2 };
const floats = (words: Uint32Array) => new Float32Array(words.buffer);

describe("mixProgram", () => {
  it("writes down a header for each head and then the steps", () => {
    const steps: HeadSteps = new Map([
      [1, [towards("identity", 0.5), double]],
      [2, [towards("zero", 0.25)]],
    ]);
    const { words } = mixProgram(steps, 1, 3);
    // First step, steps, needs, path.
    expect([...words.subarray(0, 12)]).toEqual([0, 0, 0, 0, 0, 2, 0, 0, 2, 1, 0, 0]);
    expect([words[12], words[14], words[16]]).toEqual([1, 0, 0]);
    expect([13, 15, 17].map((at) => floats(words)[at])).toEqual([0.5, 2, 0.75]);
  });

  it("says what heads need", () => {
    const steps: HeadSteps = new Map([
      [0, [towards("uniform", 1)]],
      [1, [towards("identity", 0.5, "logLinear"), towards("argmax", 1)]],
      [2, [towards("meanQuery", 1)]],
    ]);
    const { words, needs } = mixProgram(steps, 1, 3);
    expect([2, 6, 10].map((at) => words[at])).toEqual([1, 1 | 2 | 4 | 8, 8 | 16]);
    expect(floats(words)[7]).toBe(0.5);
    expect(needs.map(({ path }) => path)).toEqual([0, 0.5, 0]);
    // A log-linear path is where the steps begin, not one of them.
    expect(words[5]).toBe(1);
  });

  it("leaves out what changes nothing", () => {
    const nothing = [
      towards("identity", 0, "slerp"),
      towards("identity", 0, "logLinear"),
      { kind: "gain", output: 1 },
    ];
    const { words, needs } = mixProgram(new Map([[0, nothing as PatternStep[]]]), 1, 1);
    expect([...words]).toEqual([0, 0, 0, 0]);
    expect(needs[0]).toMatchObject({ identity: false, curved: false, path: 0 });
  });

  it("takes a map for each batch entry", () => {
    const { needs } = mixProgram([new Map(), new Map([[1, towards("argmax", 1)]])], 2, 2);
    expect(needs.map(({ argmax }) => argmax)).toEqual([false, false, false, true]);
  });

  it.each<[string, string, unknown]>([
    ["a head that is not there", "shape", new Map([[3, towards("zero", 1)]])],
    ["another number of maps", "shape", [new Map()]],
    ["no map", "shape", [{}, {}]],
    ["a strength above 1", "shape", new Map([[0, towards("zero", 1.5)]])],
    ["no strength", "shape", new Map([[0, { kind: "mix", target: "zero" }]])],
    ["another target", "unsupported", new Map([[0, towards("inverse", 1)]])],
    ["another path", "unsupported", new Map([[0, towards("identity", 1, "spiral")]])],
    ["a path to another target", "unsupported", new Map([[0, towards("uniform", 1, "slerp")]])],
    [
      "a late log-linear path",
      "unsupported",
      new Map([[0, [towards("zero", 0.5), towards("identity", 0.5, "logLinear")]]]),
    ],
    ["another kind", "unsupported", new Map([[0, { kind: "shift" }]])],
    ["a misspelt option", "unsupported", new Map([[0, { kind: "gain", output: 1, u: 1 }]])],
    ["a gain that is no number", "shape", new Map([[0, { kind: "gain", output: Number.NaN }]])],
    ["a gain that f32 cannot hold", "shape", new Map([[0, { kind: "gain", output: 1e39 }]])],
    [
      "a curve after a gain below 0",
      "unsupported",
      new Map([[0, [{ kind: "gain", output: -1 }, towards("identity", 0.5, "slerp")]]]),
    ],
  ])("refuses %s", (_, code, heads) => {
    expect(() => mixProgram(heads as HeadSteps, 2, 3)).toThrow(expect.objectContaining({ code }));
  });
});
