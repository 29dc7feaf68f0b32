import { describe, expect, it } from "vitest";
import { chainScoreMods } from "./chain-score-mods.js";

const double = { wgsl: "return 2.0 * score;" };
const shifted = { wgsl: "return score + step * f32(j);", constants: { step: 0.5 } };

describe("chainScoreMods", () => {
  it("is the other one where there is one", () => {
    expect(chainScoreMods(undefined, double)).toBe(double);
  });

  it("keeps bodies as functions, with the constants and bindings of both", () => {
    const bindings = { table: { type: "array<f32>", data: [1] } };
    const chained = chainScoreMods(shifted, {
      ...double,
      bindings,
      functions: "fn helper() -> f32 { return 1.0; }",
    });
    expect(chained.constants).toEqual({ step: 0.5 });
    expect(chained.bindings).toEqual(bindings);
    expect(chained.functions).toContain("fn helper()");
    expect(chained.functions!.indexOf(shifted.wgsl)).toBeLessThan(chained.functions!.indexOf(double.wgsl));
  });

  it("gives chains of chains names of their own", () => {
    const { functions } = chainScoreMods(chainScoreMods(shifted, double), double);
    const names = [...functions!.matchAll(/fn (\w+)\(/g)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toHaveLength(4);
  });

  it("refuses names that both have", () => {
    const unsupported = expect.objectContaining({ code: "unsupported" });
    expect(() => chainScoreMods(shifted, shifted)).toThrow(unsupported);
    const helper = { ...double, functions: "fn step() -> f32 { return 1.0; }" };
    expect(() => chainScoreMods(helper, shifted)).toThrow(unsupported);
    expect(() => chainScoreMods(helper, helper)).toThrow(unsupported);
  });

  it.each<[string, string, object]>([
    ["a misspelt field", "unsupported", { ...double, binding: {} }],
    ["a body that ends its function", "compile", { wgsl: "return score; } fn x() -> f32 { return 0.0;" }],
    ["no text", "shape", { wgsl: 2 }],
  ])("refuses %s, as softmax attention does", (_, code, mod) => {
    expect(() => chainScoreMods(mod as never, shifted)).toThrow(expect.objectContaining({ code }));
  });
});
