import { describe, expect, it } from "vitest";
import { candidates, divergence, softmax } from "./distribution.js";

describe("distributions", () => {
  it("are softmax of logits, however large", () => {
    expect([...softmax(Float32Array.of(1000, 1000, -1000))]).toEqual([0.5, 0.5, 0]);
  });

  it("differ by bits", () => {
    const even = Float64Array.of(0.5, 0.5);
    expect(divergence(even, even)).toBe(0);
    expect(divergence(Float64Array.of(1, 0), even)).toBeCloseTo(1, 12);
    expect(divergence(even, Float64Array.of(0.75, 0.25))).toBeCloseTo(0.5 * Math.log2(4 / 3), 12);
    expect(divergence(even, Float64Array.of(1, 0))).toBeGreaterThan(100);
    expect(divergence(even, Float64Array.of(1, 0))).toBeLessThan(Number.POSITIVE_INFINITY);
  });

  it("show what is likely in either", () => {
    const plain = Float64Array.of(0.1, 0.6, 0.3, 0);
    const hooked = Float64Array.of(0.1, 0.1, 0.2, 0.6);
    expect(candidates(plain, hooked, 2)).toEqual([
      { id: 1, plain: 0.6, hooked: 0.1 },
      { id: 2, plain: 0.3, hooked: 0.2 },
      { id: 3, plain: 0, hooked: 0.6 },
    ]);
    expect(candidates(plain, undefined, 1)).toEqual([{ id: 1, plain: 0.6 }]);
  });
});
