import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readBytes } from "./byte-source.js";
import type { PieceCache } from "./cached-source.js";
import { type ModelSource, modelFiles } from "./model-files.js";

const content = Uint8Array.from({ length: 1000 }, (_, index) => index % 251);
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "model-"));
  writeFileSync(join(folder, "config.json"), content);
  writeFileSync(join(folder, "m.gguf"), content);
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (name: string, path = "") => {
  const made = new File([content], name);
  Object.defineProperty(made, "webkitRelativePath", { value: path });
  return made;
};

describe("the files of a model", () => {
  test.each<[string, () => ModelSource]>([
    ["a folder's path", () => `${folder}/`],
    ["a file: address", () => pathToFileURL(`${folder}/`)],
    ["a chosen folder", () => [file("config.json", "model/config.json"), file("b.bin", "model/x/b.bin")]],
    ["chosen files", () => [file("config.json")]],
    [
      "chosen files with other weights beside a GGUF file",
      () => [file("config.json"), file("model.safetensors"), file("m.gguf")],
    ],
    [
      "chosen shards beside a GGUF file",
      () => [file("config.json"), file("model.safetensors.index.json"), file("m.gguf")],
    ],
    ["a function", () => async (path) => (path === "config.json" ? content : undefined)],
    ["an opener", () => ({ open: async (path) => (await modelFiles(`${folder}/`)).open(path) })],
  ])("%s", async (_name, source) => {
    const files = await modelFiles(source());
    expect(files.single).toBeUndefined();
    const config = await files.open("config.json");
    expect(config?.size).toBe(1000);
    expect(await readBytes(config!, 3, 700)).toEqual(content.slice(3, 700));
    expect(await files.open("absent.json")).toBeUndefined();
  });

  test.each<[string, () => ModelSource]>([
    ["a path", () => join(folder, "m.gguf")],
    ["a file: address", () => pathToFileURL(join(folder, "m.gguf"))],
    ["a File", () => file("m.gguf")],
    ["chosen files", () => [file("tokenizer.json"), file("m.gguf")]],
    ["chosen files with a configuration", () => [file("config.json"), file("m.gguf")]],
  ])("one GGUF file: %s", async (_name, source) => {
    const files = await modelFiles(source());
    expect(files.single).toBe("m.gguf");
    expect((await files.open("m.gguf"))?.size).toBe(1000);
  });

  test.each<[string, unknown]>([
    ["a folder without its slash", "https://models.example/llama"],
    ["a file that is no GGUF", "https://models.example/llama/config.json?download=true"],
    ["no address", ""],
    ["a number", 3],
    ["nothing", undefined],
    ["no files", []],
  ])("refuses %s", async (_name, source) => {
    await expect(modelFiles(source as ModelSource)).rejects.toMatchObject({ code: "unsupported" });
  });

  test("a query goes with every file", async () => {
    const asked: unknown[] = [];
    const fetch = (async (address: unknown) => {
      asked.push(address);
      return new Response(null, { status: 404 });
    }) as typeof globalThis.fetch;
    const files = await modelFiles("https://models.example/a/m.gguf?key=1", { fetch });
    expect(files.single).toBe("m.gguf");
    await files.open("m.gguf");
    await files.open("tokenizer.json");
    expect(asked).toEqual([
      "https://models.example/a/m.gguf?key=1",
      "https://models.example/a/tokenizer.json?key=1",
    ]);
  });

  test("tells which file a reader failed on", async () => {
    const files = await modelFiles(async () => {
      throw new Error("disk on fire");
    });
    await expect(files.open("config.json")).rejects.toMatchObject({
      code: "format",
      message: expect.stringMatching(/config\.json.*disk on fire/),
    });
  });
});

describe("a cache", () => {
  const kept = new Map<string, Response>();
  const cache: PieceCache = {
    match: async (key) => kept.get(key)?.clone(),
    put: async (key, response) => void kept.set(key, response),
    delete: async (key) => kept.delete(key),
  };
  const large = Uint8Array.from({ length: 9 * 2 ** 20 }, (_, index) => index % 253);
  let requests = 0;
  const serve = (etag: string, online = true) =>
    (async (_address: unknown, init?: RequestInit) => {
      requests++;
      if (!online) throw new TypeError("no connection");
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get("Range")!)!;
      return new Response(large.slice(Number(from), Number(to) + 1), {
        status: 206,
        headers: { "Content-Range": `bytes ${from}-${to}/${large.length}`, ETag: etag },
      });
    }) as typeof fetch;
  const open = async (fetch: typeof globalThis.fetch) => {
    requests = 0;
    const files = await modelFiles("https://models.example/m/", { cache, fetch, retries: 0 });
    return (await files.open("model.bin"))!;
  };

  /** Millions of bytes, which a matcher would take one by one. */
  const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

  test("keeps what was read, also without a connection", async () => {
    const first = await open(serve('"a"'));
    const range = await readBytes(first, 8_000_000, 9_000_000);
    expect(isSame(range, large.subarray(8_000_000, 9_000_000))).toBe(true);
    expect(requests).toBeGreaterThan(1);
    const second = await open(serve('"a"'));
    expect(isSame(await readBytes(second, 5, large.length), large.subarray(5))).toBe(true);
    expect(requests).toBe(1);
    const offline = await open(serve('"a"', false));
    expect(isSame(await readBytes(offline, 0, large.length), large)).toBe(true);
  });

  test("drops another version, and damaged pieces", async () => {
    const pieces = () => [...kept.keys()].filter((key) => key.includes("of"));
    expect(pieces()).toHaveLength(2);
    await open(serve('"b"'));
    expect(pieces()).toHaveLength(0);
    await readBytes(await open(serve('"b"')), 0, 10);
    kept.set(pieces()[0]!, new Response("short"));
    expect(await readBytes(await open(serve('"b"')), 0, 10)).toEqual(large.slice(0, 10));
  });
});
