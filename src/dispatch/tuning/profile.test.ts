import { describe, expect, test } from "vitest";
import {
  checkProfile,
  emptyProfile,
  mergeProfiles,
  type TuningEntry,
  type TuningProfile,
} from "./profile.js";

const entry = (change: Partial<TuningEntry> = {}): TuningEntry => ({
  mechanism: "softmax",
  kernels: "abc",
  configuration: { kernel: "rows" },
  flopsPerSecond: 1e9,
  candidates: 3,
  ...change,
});
const profile = (entries: Record<string, TuningEntry>): TuningProfile => ({
  ...emptyProfile("here"),
  entries,
});

describe("a profile from outside", () => {
  test("passes through JSON unchanged", () => {
    const given = profile({ a: entry(), b: entry({ kernels: "def" }) });
    expect(checkProfile(JSON.parse(JSON.stringify(given)))).toEqual(given);
  });

  test.each([
    ["nothing", null],
    ["a string", "profile"],
    ["another format", { ...profile({}), format: "tuning" }],
    ["a newer version", { ...profile({}), version: 2 }],
    ["no device", { ...profile({}), device: 7 }],
    ["a list of entries", { ...profile({}), entries: [] }],
    ["an entry without a configuration", profile({ a: entry({ configuration: null }) })],
    ["an entry whose speed is none", profile({ a: entry({ flopsPerSecond: Number.NaN }) })],
    ["an entry with a speed of zero", profile({ a: entry({ flopsPerSecond: 0 }) })],
    ["an entry that is none", profile({ a: null as unknown as TuningEntry })],
  ])("is refused with the code format when it is %s", (_name, value) => {
    expect(() => checkProfile(value)).toThrow(
      expect.objectContaining({ name: "AttentionError", code: "format" }),
    );
  });
});

test("merging keeps both sides, the newer where both know a class", () => {
  const merged = mergeProfiles(
    profile({ a: entry({ candidates: 1 }), b: entry() }),
    profile({ a: entry({ candidates: 2 }), c: entry() }),
  );
  expect(Object.keys(merged.entries).sort()).toEqual(["a", "b", "c"]);
  expect(merged.entries.a!.candidates).toBe(2);
});
