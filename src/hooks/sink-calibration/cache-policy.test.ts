import { describe, expect, it } from "vitest";
import { golden } from "../reference/golden-case.js";
import { cachePositions, keepSlots, keptSlots } from "./cache-policy.js";

describe("keptSlots", () => {
  it("keeps what the authors' cache keeps, step by step", () => {
    const { params, tensor } = golden<{ start: number; recent: number; steps: number }>("streaming_cache");
    const policy = { firstKeys: params.start, window: params.recent };
    let cached: number[] = [];
    for (let step = 0; step < params.steps; step++) {
      cached = [...keepSlots(cached, keptSlots(cached.length, 1, policy)), step];
      const expected = Array.from(tensor("expect.kept")).slice(step * 12, (step + 1) * 12);
      expect(cached).toEqual(expected.filter((token) => token >= 0));
      expect(cached).toHaveLength(tensor("expect.length")[step]!);
    }
  });

  it("makes room before a piece of text is appended", () => {
    const policy = { firstKeys: 4, window: 8 };
    expect(keptSlots(6, 6, policy)).toEqual([[0, 6]]);
    expect(keptSlots(7, 6, policy)).toEqual([
      [0, 4],
      [5, 7],
    ]);
    expect(keptSlots(12, 8, policy)).toEqual([[0, 4]]);
    expect(keptSlots(30, 0, policy)).toEqual([
      [0, 4],
      [22, 30],
    ]);
    expect(keptSlots(5, 8, policy)).toEqual([[0, 4]]);
    expect(keptSlots(0)).toEqual([]);
    expect(keptSlots(20, 1, { firstKeys: 0, window: 8 })).toEqual([[13, 20]]);
  });

  it.each([
    [1, 600, {}],
    [-1, 1, {}],
    [1, 1, { window: 0 }],
    [1, 1, { firstKeys: 0.5 }],
  ])("refuses what does not fit: %j", (length, incoming, policy) => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => keptSlots(length, incoming, policy)).toThrow(shape);
  });
});

describe("cachePositions", () => {
  it("counts by the place in the cache", () => {
    expect(cachePositions(12)).toEqual({ keys: [0, 12], firstQuery: 11 });
    expect(cachePositions(12, 3).firstQuery).toBe(9);
    expect(() => cachePositions(2, 3)).toThrow(expect.objectContaining({ code: "shape" }));
  });
});
