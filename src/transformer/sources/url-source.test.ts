import { describe, expect, test } from "vitest";
import { readBytes } from "./byte-source.js";
import { openUrl } from "./url-source.js";

const bytes = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 7 + (index >> 8)) % 256);
const ADDRESS = "https://models.example/a/model.bin";

interface Server {
  /** Ranges as asked for. */
  readonly asked: (string | undefined)[];
  readonly fetch: typeof fetch;
}

interface Behaviour {
  readonly ranges?: boolean;
  /** Bytes after which the n-th response breaks off. */
  readonly breakAfter?: (request: number) => number | undefined;
  readonly status?: (request: number) => number | undefined;
  readonly headers?: (request: number) => Record<string, string>;
  readonly hideSize?: boolean;
}

function server(behaviour: Behaviour = {}, content = bytes): Server {
  const asked: (string | undefined)[] = [];
  const answer = async (_address: unknown, init?: RequestInit): Promise<Response> => {
    init?.signal?.throwIfAborted();
    const range = new Headers(init?.headers).get("Range") ?? undefined;
    const request = asked.push(range) - 1;
    const status = behaviour.status?.(request);
    if (status !== undefined) return new Response("no", { status });
    const [, from = "0", to = ""] = /bytes=(\d+)-(\d+)/.exec(range ?? "") ?? [];
    const partial = range !== undefined && behaviour.ranges !== false;
    const part = partial ? content.slice(Number(from), Math.min(Number(to) + 1, content.length)) : content;
    const headers = new Headers(behaviour.headers?.(request));
    if (!behaviour.hideSize) {
      if (partial) headers.set("Content-Range", `bytes ${from}-${to}/${content.length}`);
      else headers.set("Content-Length", String(content.length));
    }
    return new Response(inChunks(part, behaviour.breakAfter?.(request)), {
      status: partial ? 206 : 200,
      headers,
    });
  };
  return { asked, fetch: answer as typeof fetch };
}

function inChunks(part: Uint8Array, breakAfter = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= breakAfter) return controller.error(new TypeError("network error"));
      if (sent >= part.length) return controller.close();
      const chunk = part.slice(sent, Math.min(sent + 10_000, breakAfter));
      sent += chunk.length;
      controller.enqueue(chunk);
    },
  });
}

async function open(served: Server, more: object = {}) {
  const source = await openUrl(ADDRESS, { fetch: served.fetch, retryDelayMs: 0, ...more });
  if (!source) throw new Error("missing");
  return source;
}

/** A matcher would take many bytes one by one. */
function expectSame(got: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(got, expected)).toBe(0);
}

describe("a file behind an address", () => {
  test("is read by ranges", async () => {
    const served = server();
    const source = await open(served);
    expect(source.size).toBe(bytes.length);
    expectSame(await readBytes(source, 100_001, 150_003), bytes.slice(100_001, 150_003));
    expect(served.asked).toEqual(["bytes=0-65535", "bytes=100001-150002"]);
  });

  test("needs one request where it is small, and carries on where the last read stopped", async () => {
    const served = server({}, bytes.slice(0, 50_000));
    const source = await open(served);
    expectSame(await readBytes(source, 0, 8), bytes.slice(0, 8));
    expectSame(await readBytes(source, 8, 50_000), bytes.slice(8, 50_000));
    expect(served.asked).toHaveLength(1);
  });

  test("is downloaded once by a server that ignores ranges", async () => {
    const served = server({ ranges: false });
    const source = await open(served);
    expectSame(await readBytes(source, 0, 1000), bytes.slice(0, 1000));
    expectSame(await readBytes(source, 70_000, 199_999), bytes.slice(70_000, 199_999));
    expect(served.asked).toHaveLength(1);
    expectSame(await readBytes(source, 5, 9), bytes.slice(5, 9));
    expect(served.asked).toHaveLength(2);
  });

  test.each([
    ["by ranges", true],
    ["from the beginning", false],
  ])("that breaks off is asked for again, %s", async (_name, ranges) => {
    const served = server({
      ranges,
      breakAfter: (request) => (ranges ? [66_000, 20_000, 40_000] : [66_000, 120_000, 150_000])[request],
    });
    const source = await open(served, { retries: 2 });
    expectSame(await readBytes(source, 0, bytes.length), bytes);
    if (ranges)
      expect(served.asked.slice(1)).toEqual([
        "bytes=65536-199999",
        "bytes=85536-199999",
        "bytes=125536-199999",
      ]);
  });

  test("is given up when nothing comes any more", async () => {
    const served = server({ breakAfter: (request) => (request === 0 ? undefined : 0) });
    const source = await open(served, { retries: 3 });
    const read = readBytes(source, 0, bytes.length);
    await expect(read).rejects.toMatchObject({ code: "format", message: expect.stringContaining(ADDRESS) });
    expect(served.asked).toHaveLength(1 + 4);
  });

  test("waits for a busy server, and believes a refusal", async () => {
    const busy = server({ status: (request) => (request < 2 ? 503 : undefined) });
    expect((await open(busy)).size).toBe(bytes.length);
    const refused = server({ status: () => 403 });
    await expect(open(refused)).rejects.toThrow(/403/);
    expect(refused.asked).toHaveLength(1);
  });

  test.each([
    ["404", { status: () => 404 }],
    ["a page in its place", { headers: () => ({ "Content-Type": "text/html; charset=utf-8" }) }],
  ])("is missing: %s", async (_name, behaviour) => {
    expect(await openUrl(ADDRESS, { fetch: server(behaviour).fetch })).toBeUndefined();
  });

  test("of no bytes is empty", async () => {
    expect((await open(server({ status: () => 416 }))).size).toBe(0);
  });

  test("whose size is withheld is read whole", async () => {
    const source = await open(server({ hideSize: true }));
    expectSame(await readBytes(source, 0, source.size), bytes);
  });

  test("that is replaced meanwhile is refused", async () => {
    const source = await open(server({ headers: (request) => ({ ETag: `"${request}"` }) }));
    const read = readBytes(source, 0, bytes.length);
    await expect(read).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("replaced"),
    });
  });

  test("is cut off: the range asked for does not exist", async () => {
    const source = await open(server());
    await expect(readBytes(source, 0, bytes.length + 1)).rejects.toMatchObject({ code: "format" });
  });

  test("stops when aborted, also while it waits", async () => {
    const abort = new AbortController();
    const served = server({
      status: (request) => {
        if (request === 1) setTimeout(() => abort.abort(), 5);
        return request === 0 ? undefined : 503;
      },
    });
    const source = await open(served, { retryDelayMs: 60_000 });
    const read = readBytes(source, 100_000, 150_000, abort.signal);
    await expect(read).rejects.toMatchObject({ code: "aborted" });
  });
});
