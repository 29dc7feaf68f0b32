import { describe, expect, test, vi } from "vitest";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { deviceKey } from "./device-key.js";
import type { TuningEntry } from "./profile.js";
import { memoryTuningStore, type TuningStore } from "./store.js";
import { Tuner, type TuningClass } from "./tuner.js";

const capabilities = minimumCapabilities();
const wanted: TuningClass = { mechanism: "softmax", kernels: "abc", problem: "prefill" };
const entry: TuningEntry = {
  mechanism: "softmax",
  kernels: "abc",
  configuration: { kernel: "rows" },
  flopsPerSecond: 1e9,
  candidates: 3,
};

describe("a tuner", () => {
  test("finds what was put, in this visit and the next", async () => {
    const store = memoryTuningStore();
    const first = new Tuner(capabilities, true, store);
    expect(await first.find(wanted)).toBeUndefined();
    await first.put(wanted, entry);
    expect(await first.find(wanted)).toEqual(entry);
    expect(await new Tuner(capabilities, true, store).find(wanted)).toEqual(entry);
  });

  test("never gives a choice that was measured on other kernels, another class or another device", async () => {
    const store = memoryTuningStore();
    await new Tuner(capabilities, true, store).put(wanted, entry);
    const tuner = new Tuner(capabilities, true, store);
    expect(await tuner.find({ ...wanted, kernels: "def" })).toBeUndefined();
    expect(await tuner.find({ ...wanted, problem: "decode" })).toBeUndefined();
    expect(await tuner.find({ ...wanted, mechanism: "linear" })).toBeUndefined();
    const changed = [
      { f16: true },
      { subgroups: true },
      { adapter: { ...capabilities.adapter, description: "driver 2" } },
      { limits: { ...capabilities.limits, maxComputeWorkgroupStorageSize: 32_768 } },
    ];
    for (const change of changed)
      expect(await new Tuner({ ...capabilities, ...change }, true, store).find(wanted)).toBeUndefined();
  });

  test("joins what two tabs found", async () => {
    const store = memoryTuningStore();
    const [one, two] = [new Tuner(capabilities, true, store), new Tuner(capabilities, true, store)];
    await Promise.all([one.find(wanted), two.find(wanted)]);
    await one.put(wanted, entry);
    await two.put({ ...wanted, problem: "decode" }, entry);
    expect(Object.keys((await new Tuner(capabilities, true, store).exportProfile()).entries)).toHaveLength(2);
  });

  test("exports what another imports, for the same device or by wish", async () => {
    const one = new Tuner(capabilities, false);
    await one.put(wanted, entry);
    const profile = JSON.parse(JSON.stringify(await one.exportProfile()));
    const same = new Tuner(capabilities, false);
    expect(await same.importProfile(profile)).toBe(1);
    expect(await same.find(wanted)).toEqual(entry);
    const other = new Tuner({ ...capabilities, f16: true }, false);
    expect(await other.importProfile(profile)).toBe(0);
    expect(await other.find(wanted)).toBeUndefined();
    expect(await other.importProfile(profile, { anyDevice: true })).toBe(1);
    expect(await other.find(wanted)).toEqual(entry);
    expect((await other.exportProfile()).device).toBe(deviceKey({ ...capabilities, f16: true }));
    await expect(other.importProfile({} as never)).rejects.toMatchObject({ code: "format" });
  });

  test("works on without a store that fails, and says what it said", async () => {
    const store: TuningStore = {
      load: () => Promise.reject(new Error("no database")),
      save: () => Promise.reject(new Error("disk full")),
    };
    const tuner = new Tuner(capabilities, true, store);
    expect(await tuner.find(wanted)).toBeUndefined();
    expect(tuner.storeError).toMatchObject({ message: "no database" });
    await tuner.put(wanted, entry);
    expect(tuner.storeError).toMatchObject({ message: "disk full" });
    expect(await tuner.find(wanted)).toEqual(entry);
  });

  test("shares a measurement in flight, forgets one that failed, and runs one at a time", async () => {
    const tuner = new Tuner(capabilities, true);
    let running = 0;
    const measure = vi.fn(async () => {
      expect(running++).toBe(0);
      await Promise.resolve();
      running--;
      return entry;
    });
    const [one, two] = await Promise.all([tuner.shared(wanted, measure), tuner.shared(wanted, measure)]);
    expect(one).toBe(two);
    expect(measure).toHaveBeenCalledTimes(1);
    await expect(tuner.shared(wanted, () => Promise.reject(new Error("busy")))).rejects.toThrow("busy");
    await Promise.all([tuner.shared(wanted, measure), tuner.alone(measure), tuner.alone(measure)]);
    expect(measure).toHaveBeenCalledTimes(4);
  });
});
