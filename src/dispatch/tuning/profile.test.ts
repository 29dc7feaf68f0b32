import { describe, expect, test } from "vitest";
import {
  checkProfile,
  emptyProfile,
  foreignProfile,
  mergeProfiles,
  storedProfile,
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

function cyclic(): unknown {
  const value: Record<string, unknown> = { ...profile({}) };
  value.self = value;
  return value;
}

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
    [
      "an entry whose speed has no bound",
      profile({ a: entry({ flopsPerSecond: Number.POSITIVE_INFINITY }) }),
    ],
    ["an entry with a speed below zero", profile({ a: entry({ flopsPerSecond: -1 }) })],
    ["a number that JSON has not", { ...profile({}), more: 1n }],
    ["a cycle", cyclic()],
    ["a property that throws", { ...profile({}), toJSON: () => JSON.parse("") }],
    [
      "a getter that throws",
      Object.defineProperty({}, "format", { enumerable: true, get: () => JSON.parse("") }),
    ],
    ["nothing that was ever made", undefined],
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

test("merging does not put another device's choice over one that was measured", () => {
  const foreign = foreignProfile(
    profile({ a: entry({ candidates: 9 }), b: entry({ candidates: 9 }) }),
    "here",
  );
  const here = profile({ a: entry() });
  for (const merged of [mergeProfiles(here, foreign), mergeProfiles(foreign, here)]) {
    expect(merged.entries.a).toEqual(entry());
    expect(merged.entries.b?.candidates).toBe(9);
    expect(merged.entries.b).not.toHaveProperty("flopsPerSecond");
  }
});

describe("a stored profile", () => {
  test("loses its bad entries, not the good ones", () => {
    const given = profile({ a: entry(), b: entry({ flopsPerSecond: 0 }), c: 7 as never });
    expect(storedProfile(given, "here")).toEqual(profile({ a: entry() }));
  });

  test("of another device is refused", () => {
    expect(() => storedProfile(profile({}), "there")).toThrow(expect.objectContaining({ code: "format" }));
  });

  test("is copied", () => {
    const given = profile({ a: entry() });
    const copy = storedProfile(given, "here");
    (given.entries.a as { candidates: number }).candidates = 99;
    expect(copy.entries.a?.candidates).toBe(3);
  });
});

test("a key that names the prototype stays a key", () => {
  const text = JSON.stringify(profile({ a: entry() })).replace('"a":', '"__proto__":');
  const checked = checkProfile(JSON.parse(text));
  const stored = storedProfile(JSON.parse(text), "here");
  const merged = mergeProfiles(checked, mergeProfiles(stored, foreignProfile(checked, "here")));
  for (const { entries } of [checked, stored, merged]) {
    expect(Object.keys(entries)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(entries)).toBe(Object.prototype);
  }
  expect(({} as Record<string, unknown>).mechanism).toBeUndefined();
});
