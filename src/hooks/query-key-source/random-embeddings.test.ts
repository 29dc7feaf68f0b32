import { describe, expect, it, test } from "vitest";
import { randomEmbeddings } from "./random-embeddings.js";

describe("randomEmbeddings", () => {
  it("draws from N(0, σ²)", () => {
    for (const sigma of [2, undefined]) {
      const options = { tokens: 100, channels: 100, seed: 3, ...(sigma && { sigma }) };
      const data = Array.from(randomEmbeddings(options), (x) => x / (sigma ?? 0.02));
      const moment = (power: number) => data.reduce((sum, x) => sum + x ** power, 0) / data.length;
      expect(Math.abs(moment(1))).toBeLessThan(0.05);
      expect(Math.abs(moment(2) - 1)).toBeLessThan(0.05);
      expect(Math.abs(moment(4) - 3)).toBeLessThan(0.3);
    }
  });

  it("gives the same for the same seed, and another for another", () => {
    const draw = (seed: number) => randomEmbeddings({ tokens: 3, channels: 5, seed });
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    // More tokens go on where fewer end.
    expect(randomEmbeddings({ tokens: 9, channels: 5, seed: 7 }).subarray(0, 15)).toEqual(draw(7));
  });

  test.each([
    ["tokens", { tokens: 0 }],
    ["channels", { channels: 1.5 }],
    ["seed", { seed: -1 }],
    ["sigma", { sigma: 0 }],
    ["sigma", { sigma: Number.NaN }],
  ])("refuses a wrong %s", (name, changes) => {
    expect(() => randomEmbeddings({ tokens: 2, channels: 2, seed: 1, ...changes })).toThrowError(
      expect.objectContaining({ code: "shape", message: expect.stringContaining(name) }),
    );
  });
});
