import { describe, expect, test } from "vitest";
import { type ByteSource, readBytes } from "./byte-source.js";
import type { PieceCache } from "./cached-source.js";
import { type ModelFiles, modelFiles } from "./model-files.js";
import { OpenedFiles } from "./opened-files.js";

class MemoryCache implements PieceCache {
  readonly kept = new Map<string, Response>();
  deletions = 0;
  async match(key: string) {
    return this.kept.get(key)?.clone();
  }
  async put(key: string, response: Response) {
    this.kept.set(key, response);
  }
  async delete(key: string) {
    this.deletions++;
    return this.kept.delete(key);
  }
  get pieces() {
    return [...this.kept.keys()].filter((key) => key.includes("bytes"));
  }
}

const MIB = 2 ** 20;
/** Two pieces, of one size in all versions. */
const SIZE = 9 * MIB;
const version = (seed: number, size = SIZE) => new Uint8Array(size).fill(seed);
/** A file of one piece. */
const small = (seed: number) => version(seed, 100_000);

interface Serving {
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly breakAfter?: number;
}

/** A server of one file, and the ranges that were asked of it. */
function serve(content: Uint8Array, { headers = {}, status, breakAfter }: Serving = {}) {
  const asked: string[] = [];
  const fetch = (async (_address: unknown, init?: RequestInit) => {
    const range = new Headers(init?.headers).get("Range")!;
    asked.push(range);
    if (status === 0) throw new TypeError("no connection");
    if (status !== undefined) return new Response("<p>Log in", { status, headers });
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(range)!;
    const part = content.slice(Number(from), Number(to) + 1);
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(part.slice(0, breakAfter)),
      pull: (controller) =>
        breakAfter === undefined ? controller.close() : controller.error(new Error("cut")),
    });
    const all = {
      "Content-Range": `bytes ${from}-${Number(from) + part.length - 1}/${content.length}`,
      ...headers,
    };
    return new Response(body, { status: 206, headers: all });
  }) as typeof globalThis.fetch;
  return { asked, fetch };
}

const files = (cache: PieceCache, served: { fetch: typeof fetch }, query = ""): Promise<ModelFiles> =>
  modelFiles(`https://models.example/m/${query}`, { cache, fetch: served.fetch, retries: 0 });
const open = async (...given: Parameters<typeof files>) => (await files(...given)).open("model.bin");
const readAll = (source: ByteSource | undefined) => readBytes(source!, 0, source!.size);
/** Millions of bytes, which a matcher would take one by one. */
const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const TAG = { ETag: '"a"' };

describe("versions", () => {
  const dated = (time: string) => ({ "Last-Modified": `Thu, 26 Nov 2026 ${time} GMT` });

  test.each<[string, Record<string, string>, Record<string, string>, boolean]>([
    ["strong tags", { ETag: '"a"' }, { ETag: '"b"' }, true],
    ["weak tags", { ETag: 'W/"a"' }, { ETag: 'W/"b"' }, true],
    ["dates", dated("08:00:00"), dated("08:00:01"), true],
    [
      "one weak tag and dates",
      { ETag: 'W/"a"', ...dated("08:00:00") },
      { ETag: 'W/"a"', ...dated("09:00:00") },
      true,
    ],
    ["nothing: not kept at all", {}, {}, false],
  ])("of one size never meet: %s", async (_name, first, second, isKept) => {
    const cache = new MemoryCache();
    // The first download breaks off after a piece.
    const broken = serve(version(1), { headers: first, breakAfter: 8.5 * MIB });
    await expect(readAll(await open(cache, broken))).rejects.toMatchObject({ code: "format" });
    expect(cache.pieces.length).toBe(isKept ? 1 : 0);
    const replaced = serve(version(2), { headers: second });
    expect(isSame(await readAll(await open(cache, replaced)), version(2))).toBe(true);
  });

  test("a download that broke off is carried on, in one request", async () => {
    const cache = new MemoryCache();
    const broken = serve(version(1), { headers: TAG, breakAfter: 8.5 * MIB });
    await expect(readAll(await open(cache, broken))).rejects.toMatchObject({ code: "format" });
    const served = serve(version(1), { headers: TAG });
    expect(isSame(await readAll(await open(cache, served)), version(1))).toBe(true);
    expect(served.asked).toEqual(["bytes=0-65535", `bytes=${8 * MIB}-${SIZE - 1}`]);
  });

  test("only the pieces that are missing are asked for", async () => {
    const cache = new MemoryCache();
    const file = version(1, 17 * MIB);
    const source = await open(cache, serve(file, { headers: TAG }));
    await readBytes(source!, 9 * MIB, 10 * MIB);
    const served = serve(file, { headers: TAG });
    expect(isSame(await readAll(await open(cache, served)), file)).toBe(true);
    expect(served.asked.slice(-2)).toEqual([
      `bytes=65536-${8 * MIB - 1}`,
      `bytes=${16 * MIB}-${17 * MIB - 1}`,
    ]);
  });

  test("a query is no part of what a file is known by", async () => {
    const cache = new MemoryCache();
    await readAll(await open(cache, serve(small(1), { headers: TAG }), "?signature=1"));
    const served = serve(small(1), { headers: TAG });
    await readAll(await open(cache, served, "?signature=2"));
    expect(served.asked).toHaveLength(1);
    await open(cache, serve(small(2), { headers: { ETag: '"b"' } }), "?signature=3");
    expect(cache.pieces).toEqual([]);
  });
});

describe("a server that does not give the file", () => {
  const html = { "Content-Type": "text/html" };
  test.each<[string, Serving, "missing" | "refused" | "cached"]>([
    ["has no connection", { status: 0 }, "cached"],
    ["is out of order", { status: 503 }, "cached"],
    ["asks who one is", { status: 401 }, "refused"],
    ["forbids it", { status: 403 }, "refused"],
    ["is another's, with a page to log in", { status: 200, headers: html }, "missing"],
    ["has none", { status: 404 }, "missing"],
  ])("%s: the cache keeps it", async (_name, serving, expected) => {
    const cache = new MemoryCache();
    await readAll(await open(cache, serve(small(1), { headers: TAG })));
    const opening = open(cache, serve(small(1), serving));
    if (expected === "refused") await expect(opening).rejects.toThrow(String(serving.status));
    else if (expected === "missing") expect(await opening).toBeUndefined();
    else expect(isSame(await readAll(await opening), small(1))).toBe(true);
    expect(cache.pieces).toHaveLength(1);
    const again = serve(small(1), { headers: TAG });
    expect(isSame(await readAll(await open(cache, again)), small(1))).toBe(true);
    expect(again.asked).toHaveLength(1);
  });
});

describe("a file that its server does not have", () => {
  const offline: Serving = { status: 0 };
  test.each<[string, Serving, Serving]>([
    ["without a connection", { status: 404 }, offline],
    ["and was called gone", { status: 410 }, offline],
    ["and was refused, as by stores that do not list their files", { status: 403 }, offline],
  ])("is missing %s, too", async (_name, first, then) => {
    const cache = new MemoryCache();
    await open(cache, serve(small(1), first)).catch(() => {});
    expect(await open(cache, serve(small(1), then))).toBeUndefined();
  });

  test("may be there by now where the server fails", async () => {
    const cache = new MemoryCache();
    await open(cache, serve(small(1), { status: 404 }));
    await expect(open(cache, serve(small(1), { status: 503 }))).rejects.toThrow("503");
  });

  test("is refused as before with a connection", async () => {
    const cache = new MemoryCache();
    for (let time = 0; time < 2; time++)
      await expect(open(cache, serve(small(1), { status: 403 }))).rejects.toThrow("403");
  });

  test.each<[string, Record<string, string>]>([
    ["with a version", TAG],
    ["without one", {}],
  ])("is forgotten to be missing once it is there, %s", async (_name, headers) => {
    const cache = new MemoryCache();
    await open(cache, serve(small(1), { status: 404 }));
    expect(isSame(await readAll(await open(cache, serve(small(1), { headers }))), small(1))).toBe(true);
    const again = open(cache, serve(small(1), offline));
    if (headers === TAG) expect(isSame(await readAll(await again), small(1))).toBe(true);
    else await expect(again).rejects.toThrow("no connection");
  });
});

test("a refusal is no absence of a file that was there", async () => {
  const cache = new MemoryCache();
  const [given, refused] = [serve(small(1), { headers: TAG }), serve(small(1), { status: 403 })];
  const read = async (path: string, later = given) => {
    // Behind another file that was opened, a refused one is taken for absent.
    const fetch = ((address: string, init?: RequestInit) =>
      (address.endsWith("first.bin") ? given : later).fetch(address, init)) as typeof globalThis.fetch;
    const opened = new OpenedFiles(await files(cache, { fetch }), {});
    await opened.open("first.bin");
    return opened.readOptional(path);
  };
  await read("model.bin");
  await expect(read("model.bin", refused)).rejects.toThrow("was there before");
  expect(await read("other.bin", refused)).toBeUndefined();
});

describe("damage", () => {
  test("a file that has another hash than it should is downloaded anew the next time", async () => {
    const cache = new MemoryCache();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", small(1)));
    const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const load = async () => {
      const served = serve(small(1), { headers: TAG });
      const opened = new OpenedFiles(await files(cache, served), { "model.bin": hash });
      await readAll(await opened.open("model.bin"));
      await opened.verify();
    };
    await load();
    cache.kept.set(cache.pieces[0]!, new Response(new Uint8Array(100_000)));
    await expect(load()).rejects.toMatchObject({ code: "format", message: expect.stringContaining(hash) });
    await load();
  });

  test("entries that cannot be read are asked for again", async () => {
    const cache = new MemoryCache();
    await readAll(await open(cache, serve(small(1), { headers: TAG })));
    const broken = {
      clone: () => ({ arrayBuffer: () => Promise.reject(new Error("disk")) }),
    } as unknown as Response;
    cache.kept.set(cache.pieces[0]!, broken);
    cache.delete = () => Promise.reject(new Error("disk"));
    const source = await open(cache, serve(small(1), { headers: TAG }));
    expect(isSame(await readAll(source), small(1))).toBe(true);
  });

  test("a size that no file has is refused, and one that was claimed before takes no time to forget", async () => {
    const cache = new MemoryCache();
    const claimed = { "Content-Range": "bytes 0-65535/9007199254740991", ETag: '"huge"' };
    const opened = new OpenedFiles(await files(cache, serve(small(1), { headers: claimed })));
    await expect(opened.open("model.bin")).rejects.toMatchObject({ code: "format" });
    await open(cache, serve(small(1), { headers: TAG }));
    expect(cache.deletions).toBeLessThan(2000);
  });
});
