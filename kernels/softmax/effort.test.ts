import { describe, expect, test } from "vitest";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { dispatchBudget, effortFactor } from "./effort.js";
import { checkProblem, type SoftmaxProblem } from "./problem.js";

const capabilities = minimumCapabilities();
function shape(q: Shape4, tokensK: number, options: Partial<SoftmaxProblem> = {}) {
  const [batch, , heads, dim] = q;
  const k = { dtype: "f32", shape: [batch, tokensK, heads, dim] } as const;
  return checkProblem({ q: { dtype: "f32", shape: q }, k, v: k, ...options }, capabilities);
}

describe("effort", () => {
  test("is little more than the operations of usual heads, and many times those of narrow ones", () => {
    const of = (dim: number) => effortFactor(shape([1, 512, 8, dim], 512), capabilities);
    expect(of(128)).toBeLessThan(1.2);
    expect(of(64)).toBeLessThan(1.3);
    expect(of(1)).toBeGreaterThan(10);
  });

  test("of a single row is that of reading the keys, which grouped heads share", () => {
    const of = (rows: number) => effortFactor(shape([1, rows, 1, 64], 4096), capabilities);
    expect(of(1)).toBeGreaterThan(8);
    expect(of(8)).toBeLessThan(of(1) / 3);
  });

  test.each([
    ["soft cap", { softcap: 30 }],
    ["ALiBi", { alibiSlopes: [1] }],
    ["a bias", { bias: { dtype: "f32", shape: [1, 1, 1, 1] } }],
    ["a key mask", { keyMask: new Array(512).fill(1) }],
    ["rotation", { rope: {} }],
  ] as [string, Partial<SoftmaxProblem>][])("grows with %s", (_name, options) => {
    const plain = effortFactor(shape([1, 512, 1, 64], 512), capabilities);
    expect(effortFactor(shape([1, 512, 1, 64], 512, options), capabilities)).toBeGreaterThan(plain);
  });

  test("bounds dispatches by the estimate, or by what was measured, which has it in it", () => {
    const plain = shape([1, 512, 1, 64], 512);
    const factor = effortFactor(plain, capabilities);
    expect(dispatchBudget(plain, capabilities, 100)).toBeCloseTo(20e9 / 10 / factor, 0);
    expect(dispatchBudget(plain, capabilities, 100, 1e9)).toBeCloseTo(0.7e8, 0);
  });
});
