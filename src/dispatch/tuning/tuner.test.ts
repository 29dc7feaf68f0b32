import { describe, expect, test, vi } from "vitest";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { AttentionError } from "../errors.js";
import { untilAborted } from "./abort.js";
import { deviceKey } from "./device-key.js";
import type { TuningCaller } from "./flight.js";
import { emptyProfile, mergeProfiles, type TuningEntry } from "./profile.js";
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
      { limits: { ...capabilities.limits, maxStorageBufferBindingSize: 2 ** 30 } },
      { limits: { ...capabilities.limits, maxBufferSize: 2 ** 30 } },
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
    const { flopsPerSecond: _, ...choice } = entry;
    expect(await other.find(wanted)).toEqual(choice);
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

  test("takes over no other device's speed, and nothing where this one was measured", async () => {
    const here = { ...capabilities, f16: true };
    const store = memoryTuningStore();
    const tuner = new Tuner(here, true, store);
    await tuner.put(wanted, entry);
    const other = { ...entry, configuration: { kernel: "tiled" }, flopsPerSecond: 9e15 };
    const source = new Tuner(capabilities, false);
    await source.put(wanted, other);
    await source.put({ ...wanted, problem: "decode" }, other);
    const profile = await source.exportProfile();
    expect(await tuner.importProfile(profile, { anyDevice: true })).toBe(1);
    expect(await tuner.find(wanted)).toEqual(entry);
    const decode = await tuner.find({ ...wanted, problem: "decode" });
    expect(decode?.configuration).toEqual({ kernel: "tiled" });
    expect(decode).not.toHaveProperty("flopsPerSecond");
    // Another tab that has not loaded them cannot put them over a choice that was measured meanwhile.
    const late = new Tuner(here, true, memoryTuningStore());
    await late.importProfile(profile, { anyDevice: true });
    const { entries } = mergeProfiles(await tuner.exportProfile(), await late.exportProfile());
    expect(Object.values(entries)).toContainEqual(entry);
    await tuner.put({ ...wanted, problem: "decode" }, entry);
    expect(await tuner.find({ ...wanted, problem: "decode" })).toEqual(entry);
  });

  test("checks and copies what an application's store gives", async () => {
    const device = deviceKey(capabilities);
    const entries = { [`softmax abc: ${wanted.problem}`]: entry, bad: { ...entry, flopsPerSecond: -1 } };
    const stored = { ...emptyProfile(device), entries };
    const given = (value: unknown): TuningStore => ({
      load: async () => value as never,
      save: async () => {},
    });
    const tuner = new Tuner(capabilities, true, given(stored));
    const found = await tuner.find(wanted);
    expect(found).toEqual(entry);
    expect(found).not.toBe(entry);
    expect(Object.keys((await tuner.exportProfile()).entries)).toHaveLength(1);
    const cyclic: Record<string, unknown> = { ...stored };
    cyclic.self = cyclic;
    for (const nonsense of [{ ...stored, device: "another" }, { entries: 7 }, "text", cyclic, 3n]) {
      const doubtful = new Tuner(capabilities, true, given(nonsense));
      expect(await doubtful.find(wanted)).toBeUndefined();
      expect(doubtful.storeError).toMatchObject({ code: "format" });
    }
  });

  test("says no more of a store's failure once it has worked", async () => {
    const store = memoryTuningStore();
    const load = vi.spyOn(store, "load").mockRejectedValueOnce(new Error("locked"));
    const tuner = new Tuner(capabilities, true, store);
    await tuner.find(wanted);
    expect(tuner.storeError).toMatchObject({ message: "locked" });
    await tuner.put(wanted, entry);
    expect(load).toHaveBeenCalledTimes(2);
    expect(tuner.storeError).toBeUndefined();
  });

  test("remembers what could not be measured until it is", async () => {
    const tuner = new Tuner(capabilities, true);
    const error = new AttentionError("compile", { subject: "a", expected: "b", got: "c", fix: "d" });
    tuner.fail(wanted, error);
    expect(tuner.failed(wanted)).toBe(true);
    expect([...tuner.failures.values()]).toEqual([error]);
    await tuner.put(wanted, entry);
    expect(tuner.failures.size).toBe(0);
  });
});

describe("measurements", () => {
  const progress = { phase: "time", done: 1, total: 2, candidate: "a" } as const;
  /** A measurement that ends when it is told to, or when its signal fires. */
  function measurement() {
    let begun: TuningCaller = {};
    let finish = (_: TuningEntry) => {};
    const measure = vi.fn((joint: TuningCaller) => {
      begun = joint;
      return untilAborted(
        new Promise<TuningEntry>((resolve) => {
          finish = resolve;
        }),
        joint.signal,
      );
    });
    return { measure, joint: () => begun, finish: () => finish(entry) };
  }
  const begun = (measure: ReturnType<typeof measurement>["measure"], times = 1) =>
    vi.waitFor(() => expect(measure).toHaveBeenCalledTimes(times));

  test("are shared in flight, forgotten when they fail, and run one at a time", async () => {
    const tuner = new Tuner(capabilities, true);
    let running = 0;
    const measure = vi.fn(async () => {
      expect(running++).toBe(0);
      await Promise.resolve();
      running--;
      return entry;
    });
    const [one, two] = await Promise.all([
      tuner.shared(wanted, {}, measure),
      tuner.shared(wanted, {}, measure),
    ]);
    expect(one).toBe(two);
    expect(measure).toHaveBeenCalledTimes(1);
    await expect(tuner.shared(wanted, {}, () => Promise.reject(new Error("busy")))).rejects.toThrow("busy");
    await Promise.all([tuner.shared(wanted, {}, measure), tuner.alone(measure), tuner.alone(measure)]);
    expect(measure).toHaveBeenCalledTimes(4);
  });

  test("go on for one caller when another leaves, whichever came first, and tell both what they do", async () => {
    const tuner = new Tuner(capabilities, true);
    const { measure, joint, finish } = measurement();
    const [first, second] = [new AbortController(), new AbortController()];
    const reports = [vi.fn(), vi.fn(), vi.fn()];
    const callers = [{ signal: first.signal }, { signal: second.signal }, {}];
    const results = callers.map((caller, index) =>
      tuner.shared(wanted, { ...caller, onProgress: reports[index] }, measure),
    );
    await begun(measure);
    joint().onProgress?.(progress);
    first.abort("first");
    await expect(results[0]).rejects.toMatchObject({ code: "aborted", cause: "first" });
    second.abort();
    await expect(results[1]).rejects.toMatchObject({ code: "aborted" });
    expect(joint().signal?.aborted).toBe(false);
    joint().onProgress?.(progress);
    expect(reports.map((report) => report.mock.calls.length)).toEqual([1, 1, 2]);
    finish();
    expect(await results[2]).toBe(entry);
  });

  test("end when all callers have left, and the next caller gets a new one", async () => {
    const tuner = new Tuner(capabilities, true);
    const { measure, joint, finish } = measurement();
    const aborts = [new AbortController(), new AbortController()];
    const results = aborts.map(({ signal }) => tuner.shared(wanted, { signal }, measure));
    await begun(measure);
    const { signal } = joint();
    for (const abort of aborts) abort.abort();
    const next = tuner.shared(wanted, {}, measure);
    for (const result of results) await expect(result).rejects.toMatchObject({ code: "aborted" });
    expect(signal?.aborted).toBe(true);
    await begun(measure, 2);
    finish();
    expect(await next).toBe(entry);
  });

  test("are none of the business of a caller whose callback throws", async () => {
    const tuner = new Tuner(capabilities, true);
    const { measure, joint, finish } = measurement();
    const onProgress = () => {
      throw new Error("no element");
    };
    const [one, two] = [tuner.shared(wanted, { onProgress }, measure), tuner.shared(wanted, {}, measure)];
    await begun(measure);
    joint().onProgress?.(progress);
    await expect(one).rejects.toThrow("no element");
    finish();
    expect(await two).toBe(entry);
  });

  test("that wait for their turn can be called off before it", async () => {
    const tuner = new Tuner(capabilities, true);
    const { measure, finish } = measurement();
    const running = tuner.alone(() => measure({}));
    const abort = new AbortController();
    const queued = vi.fn(async () => entry);
    const waiting = tuner.alone(queued, abort.signal);
    const last = tuner.alone(queued);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    finish();
    await Promise.all([running, last]);
    expect(queued).toHaveBeenCalledTimes(1);
  });
});
