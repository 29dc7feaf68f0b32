import { mkdirSync, mkdtempSync, promises, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { emptyProfile, type TuningEntry } from "./profile.js";
import { defaultTuningStore, fileTuningStore, memoryTuningStore } from "./store.js";

const entry: TuningEntry = {
  mechanism: "softmax",
  kernels: "abc",
  configuration: { kernel: "rows" },
  flopsPerSecond: 1e9,
  candidates: 3,
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tuning-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe.each([
  ["memory", () => memoryTuningStore()],
  ["a file", () => fileTuningStore(join(folder, "deep", "er", "tuning.json"))],
])("%s", (_name, open) => {
  test("keeps the profiles of devices apart", async () => {
    const store = open();
    expect(await store.load("one")).toBeUndefined();
    await Promise.all([store.save(emptyProfile("one")), store.save(emptyProfile("two"))]);
    expect(await store.load("one")).toEqual(emptyProfile("one"));
    expect(await store.load("two")).toEqual(emptyProfile("two"));
    expect(await store.load("toString")).toBeUndefined();
  });
});

describe("a file", () => {
  test("is read by the next process, and leaves no drafts behind", async () => {
    const path = join(folder, "tuning.json");
    await fileTuningStore(path).save(emptyProfile("one"));
    expect(await fileTuningStore(path).load("one")).toEqual(emptyProfile("one"));
    expect(readdirSync(folder)).toEqual(["tuning.json"]);
  });

  test("that was cut off is as good as none, and is replaced", async () => {
    const path = join(folder, "tuning.json");
    writeFileSync(path, '{ "one": { "format"');
    const store = fileTuningStore(path);
    expect(await store.load("one")).toBeUndefined();
    await store.save(emptyProfile("one"));
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ one: emptyProfile("one") });
  });

  test("with something else in it is refused", async () => {
    const path = join(folder, "tuning.json");
    writeFileSync(path, '{ "one": { "format": "other" } }');
    await expect(fileTuningStore(path).load("one")).rejects.toMatchObject({ code: "format" });
  });

  test("that cannot be written rejects, and the next save is tried again", async () => {
    const path = join(folder, "tuning.json");
    writeFileSync(join(folder, "file"), "");
    await expect(
      fileTuningStore(join(folder, "file", "tuning.json")).save(emptyProfile("one")),
    ).rejects.toThrow();
    const store = fileTuningStore(path);
    await store.save(emptyProfile("one"));
    expect(await store.load("one")).toBeDefined();
  });

  test("of two stores keeps what both save at once", async () => {
    const path = join(folder, "tuning.json");
    const stores = [fileTuningStore(path), fileTuningStore(join(folder, ".", "tuning.json"))];
    const pairs = Array.from({ length: 50 }, (_, n) => stores.map((store, which) => ({ store, n, which })));
    const saved = pairs.flat().map(({ store, n, which }) =>
      // Every tenth is of a device that both know.
      store.save({
        ...emptyProfile(n % 10 === 0 ? "both" : `${n} ${which}`),
        entries: { [`${n} ${which}`]: entry },
      }),
    );
    await Promise.all(saved);
    const all = JSON.parse(readFileSync(path, "utf8"));
    expect(Object.keys(all)).toHaveLength(91);
    expect(Object.keys(all.both.entries)).toHaveLength(10);
    expect(readdirSync(folder)).toEqual(["tuning.json"]);
  });

  test("that cannot be replaced leaves no draft behind", async () => {
    const path = join(folder, "tuning.json");
    mkdirSync(path);
    const store = fileTuningStore(path);
    await expect(store.load("one")).rejects.toThrow();
    await expect(store.save(emptyProfile("one"))).rejects.toThrow();
    vi.spyOn(promises, "readFile").mockResolvedValue("{}");
    await expect(store.save(emptyProfile("one"))).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(["tuning.json"]);
  });

  test("is looked for only when it is needed, so that what the runtime forbids rejects", async () => {
    const { getBuiltinModule } = process;
    const forbidden = {
      getBuiltinModule,
      platform: "linux",
      get env(): never {
        throw new Error("Requires env access");
      },
    };
    vi.stubGlobal("process", forbidden);
    const store = fileTuningStore();
    await expect(store.load("one")).rejects.toThrow("env access");
    await expect(store.save(emptyProfile("one"))).rejects.toThrow("env access");
    expect(await fileTuningStore(join(folder, "tuning.json")).load("one")).toBeUndefined();
  });

  test("needs a file system", () => {
    vi.stubGlobal("process", undefined);
    expect(() => fileTuningStore()).toThrow(expect.objectContaining({ code: "unsupported" }));
  });

  test("lies in the user's cache folder by default", async () => {
    vi.stubEnv("XDG_CACHE_HOME", folder);
    await defaultTuningStore().save(emptyProfile("one"));
    if (process.platform === "linux") expect(readdirSync(folder)).toEqual(["webgpu-attention"]);
  });
});
