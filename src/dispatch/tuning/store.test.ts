import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { emptyProfile } from "./profile.js";
import { defaultTuningStore, fileTuningStore, memoryTuningStore } from "./store.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tuning-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.unstubAllEnvs();
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

  test("lies in the user's cache folder by default", async () => {
    vi.stubEnv("XDG_CACHE_HOME", folder);
    await defaultTuningStore().save(emptyProfile("one"));
    if (process.platform === "linux") expect(readdirSync(folder)).toEqual(["webgpu-attention"]);
  });
});
