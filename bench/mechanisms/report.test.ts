import { describe, expect, it } from "vitest";
import { compareEntry, everythingIsRight, formatReport, type MechanismsReport } from "./report.js";
import type { EntryResult, MechanismRowResult } from "./results.js";

const entry = (
  name: string,
  rows: number,
  samples: number[],
  rest: Partial<EntryResult> = {},
): EntryResult => {
  return { name, rows, samples, flops: 4e6, scratchBytes: 2 ** 20, status: "timed", ...rest };
};

const row = (compare: MechanismRowResult["compare"], ...entries: EntryResult[]): MechanismRowResult => {
  return {
    mechanism: "m",
    name: "r",
    compare,
    entries,
    matmul: [{ name: "p", flops: 8e6, samples: [1, 2, 4] }],
  };
};

const report = (...rows: MechanismRowResult[]): MechanismsReport => {
  return { date: "now", adapter: "a", software: true, rounds: 3, versions: { ours: "1" }, rows };
};

describe("an entry beside the first of its row", () => {
  // The machine is twice as slow from round to round: ratios are taken within each.
  const first = entry("first", 100, [4, 8, 16]);
  const second = entry("second", 400, [2, 4, 8]);

  it("is as many times as fast", () => {
    expect(compareEntry(row("speedup", first, second), second)).toEqual({
      gflops: 1,
      fractionOfMatmul: 0.25,
      ratio: 2,
    });
  });

  it("takes a share of its time per row", () => {
    expect(compareEntry(row("time per row", first, second), second).ratio).toBe(0.5 / 4);
  });

  it("is nothing when it was not timed, or when the first was not", () => {
    const wrong = entry("first", 100, [], { status: "wrong", maxRelative: 0.5 });
    expect(compareEntry(row("speedup", wrong, second), wrong)).toEqual({});
    expect(compareEntry(row("speedup", wrong, second), second).ratio).toBeUndefined();
  });
});

describe("the report", () => {
  it("says what was wrong or failed, and that the figures are a CPU driver's", () => {
    const bad = row(
      "speedup",
      entry("one", 1, [], { status: "wrong", maxRelative: null }),
      entry("two", 1, [], { status: "failed", message: "no memory\nat all" }),
    );
    const text = formatReport(report(bad));
    expect(text).toContain("wrong (max error not finite)");
    expect(text).toContain("failed: no memory");
    expect(text).toContain("CPU driver");
    expect(everythingIsRight(report(bad))).toBe(false);
    expect(everythingIsRight(report(row("speedup", entry("one", 1, [1, 1, 1]))))).toBe(true);
  });

  it("has time per row and scratch memory", () => {
    const text = formatReport(report(row("time per row", entry("one", 100, [4, 8, 16]))));
    expect(text).toMatch(/one +8\.00 \(4\.00 to 16\.0\) +80\.0 +0\.50 +13 % +1\.00x +1\.00 MiB/);
  });
});
