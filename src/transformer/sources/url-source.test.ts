import { describe, expect, test, vi } from "vitest";
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
  readonly hideRange?: boolean;
  readonly hideLength?: boolean;
  /** Size of the file that it claims. */
  readonly size?: (request: number) => number;
  /** Bytes of an answer, whatever range was asked for. */
  readonly mostBytes?: number;
  /** Bytes of the second response, after which no more come, and the connection stays. */
  readonly silentAfter?: number;
}

function server(behaviour: Behaviour = {}, content = bytes): Server {
  const asked: (string | undefined)[] = [];
  const answer = async (_address: unknown, init?: RequestInit): Promise<Response> => {
    init?.signal?.throwIfAborted();
    const range = new Headers(init?.headers).get("Range") ?? undefined;
    const request = asked.push(range) - 1;
    const status = behaviour.status?.(request);
    if (status !== undefined) return new Response("no", { status });
    const [, first, last] = /bytes=(\d+)-(\d*)/.exec(range ?? "") ?? [];
    const partial = range !== undefined && behaviour.ranges !== false;
    const size = behaviour.size?.(request) ?? content.length;
    const from = partial ? Number(first) : 0;
    const end = partial && last ? Number(last) + 1 : size;
    const to = Math.min(end, from + (behaviour.mostBytes ?? size), size);
    const part = content.slice(from, to);
    const headers = new Headers(behaviour.headers?.(request));
    if (!behaviour.hideRange && partial) headers.set("Content-Range", `bytes ${from}-${to - 1}/${size}`);
    if (!behaviour.hideLength) headers.set("Content-Length", String(part.length));
    if (behaviour.silentAfter !== undefined && request === 1)
      return new Response(inChunks(part, behaviour.silentAfter, "silence"), { status: 206, headers });
    return new Response(inChunks(part, behaviour.breakAfter?.(request)), {
      status: partial ? 206 : 200,
      headers,
    });
  };
  return { asked, fetch: answer as typeof fetch };
}

function inChunks(
  part: Uint8Array,
  breakAfter = Number.POSITIVE_INFINITY,
  then: "error" | "silence" = "error",
): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= breakAfter && then === "silence") return new Promise(() => {});
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

  test.each([
    [503, 4],
    [403, 1],
  ])("is given up after as many attempts as were asked for: %i in the middle", async (status, attempts) => {
    const served = server({ status: (request) => (request > 0 ? status : undefined) });
    const source = await open(served, { retries: 3 });
    await expect(readBytes(source, 100_000, 100_100)).rejects.toThrow(String(status));
    expect(served.asked).toHaveLength(1 + attempts);
  });

  test("is asked for again when a busy server wants it, and no later than a minute", async () => {
    vi.useFakeTimers();
    try {
      const busy = (status: number, after: string) => ({ status, headers: { "Retry-After": after } });
      const answers = [busy(503, "7"), busy(429, "3600"), busy(503, "Thu, 01 Jan 1970 00:00:00 GMT")];
      const times: number[] = [];
      const begin = Date.now();
      const fetch = (async () => {
        times.push(Date.now() - begin);
        const answer = answers[times.length - 1];
        return answer ? new Response("", answer) : new Response("x", { headers: { "Content-Length": "1" } });
      }) as typeof globalThis.fetch;
      const opening = openUrl(ADDRESS, { fetch, retries: 40, retryDelayMs: 1000 });
      await vi.runAllTimersAsync();
      expect((await opening)?.size).toBe(1);
      expect(times).toEqual([0, 7000, 67_000, 71_000]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("is waited for half a minute at most between two of many attempts", async () => {
    vi.useFakeTimers();
    try {
      const opening = openUrl(ADDRESS, { fetch: server({ status: () => 503 }).fetch, retries: 40 });
      const ended = expect(opening).rejects.toThrow("503");
      await vi.advanceTimersByTimeAsync(60_000);
      const begin = Date.now();
      await vi.runAllTimersAsync();
      await ended;
      // 0.25 s, doubled seven times, then 33 times the most.
      expect(Date.now() - begin).toBe(250 * (2 ** 7 - 1) + 33 * 30_000 - 60_000);
    } finally {
      vi.useRealTimers();
    }
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
    const source = await open(server({ hideRange: true, hideLength: true }));
    expectSame(await readBytes(source, 0, source.size), bytes);
  });

  test.each<[string, Behaviour]>([
    ["breaks off", { breakAfter: (request) => (request < 2 ? 30_000 : undefined) }],
    [
      "breaks off, and its server is busy then",
      {
        breakAfter: (request) => (request === 0 ? 30_000 : undefined),
        status: (request) => (request === 1 ? 503 : undefined),
      },
    ],
    ["goes silent", { silentAfter: 30_000 }],
  ])("whose size is withheld is read from the beginning where it %s", async (_name, behaviour) => {
    const served = server({
      ...behaviour,
      ranges: behaviour.silentAfter !== undefined,
      hideRange: true,
      hideLength: true,
    });
    const source = await open(served, { stallMs: 50, retries: 2 });
    expectSame(await readBytes(source, 0, source.size), bytes);
    expect(served.asked).toHaveLength(3);
  });

  test("whose size is withheld is given up after as many attempts as were asked for", async () => {
    const served = server({ ranges: false, hideLength: true, breakAfter: () => 30_000 });
    await expect(open(served, { retries: 2 })).rejects.toThrow("network error");
    expect(served.asked).toHaveLength(3);
  });

  test("whose ranges are withheld is asked for by a range to its end, which no server compresses", async () => {
    const served = server({ hideRange: true });
    const source = await open(served);
    expect(served.asked).toEqual(["bytes=0-65535", "bytes=0-"]);
    expect(source.size).toBe(bytes.length);
    expectSame(await readBytes(source, 100_000, 100_100), bytes.slice(100_000, 100_100));
    expectSame(await readBytes(source, 50_000, 50_100), bytes.slice(50_000, 50_100));
    expect(served.asked.slice(2)).toEqual(["bytes=50000-50099"]);
  });

  test("comes from a server that gives less than a range, without waiting", async () => {
    const served = server({ mostBytes: 50_000 });
    const source = await open(served, { retryDelayMs: 60_000 });
    expectSame(await readBytes(source, 0, bytes.length), bytes);
    expect(served.asked).toHaveLength(4);
  });

  test("whose connection goes silent is asked for again", async () => {
    const served = server({ silentAfter: 30_000 });
    const source = await open(served, { stallMs: 50 });
    expectSame(await readBytes(source, 65_536, bytes.length), bytes.slice(65_536));
    expect(served.asked[2]).toBe("bytes=95536-199999");
  });

  test("that no answer comes for is asked for again", async () => {
    const served = server();
    let requests = 0;
    const fetch = ((address: string, init: RequestInit) =>
      ++requests === 1 ? new Promise(() => {}) : served.fetch(address, init)) as typeof globalThis.fetch;
    const source = await open({ ...served, fetch }, { stallMs: 50 });
    expect(source.size).toBe(bytes.length);
  });

  test.each<[string, Behaviour]>([
    ["another tag", { headers: (request) => ({ ETag: `"${request}"` }) }],
    ["another weak tag", { headers: (request) => ({ ETag: `W/"${request}"` }) }],
    [
      "another date",
      { headers: (request) => ({ "Last-Modified": `Thu, 26 Nov 2026 08:00:0${request} GMT` }) },
    ],
    [
      "another date of one weak tag",
      {
        headers: (request) => ({ ETag: 'W/"a"', "Last-Modified": `Thu, 26 Nov 2026 08:00:0${request} GMT` }),
      },
    ],
    ["another size", { size: (request) => bytes.length - request }],
  ])("that is replaced meanwhile is refused: %s", async (_name, behaviour) => {
    const source = await open(server(behaviour));
    const read = readBytes(source, 0, bytes.length);
    await expect(read).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("replaced"),
    });
  });

  test("keeps its version where servers of one name say more or less of it, or have dates of their own", async () => {
    const headers: Record<string, string>[] = [
      { ETag: '"a"', "Last-Modified": "Thu, 26 Nov 2026 08:00:00 GMT" },
      { ETag: '"a"', "Last-Modified": "Thu, 26 Nov 2026 09:00:00 GMT" },
      {},
    ];
    const served = server({ headers: (request) => headers[request] ?? {}, mostBytes: 70_000 });
    expectSame(await readBytes(await open(served), 0, bytes.length), bytes);
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
