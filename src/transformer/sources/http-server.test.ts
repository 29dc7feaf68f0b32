import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readBytes } from "./byte-source.js";
import { openUrl } from "./url-source.js";

/** What a fetch of the runtime's own does when a real connection breaks. */
const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251);
let server: Server;
let requests: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
    requests.push(`${request.url} ${from}-${to}`);
    if (request.url === "/missing") {
      response.writeHead(404).end();
      return;
    }
    if (request.url === "/compressing") {
      answerCompressed(request, response);
      return;
    }
    const begin = request.url === "/whole" ? 0 : Number(from);
    const end = request.url === "/whole" ? bytes.length : Math.min(Number(to) + 1, bytes.length);
    const headers = {
      "Content-Length": end - begin,
      "Content-Range": `bytes ${begin}-${end - 1}/${bytes.length}`,
    };
    response.writeHead(request.url === "/whole" ? 200 : 206, headers);
    // Half of what was announced, then the connection is cut: in every second response.
    if (requests.length % 2 === 1) {
      response.end(bytes.subarray(begin, end));
      return;
    }
    response.write(bytes.subarray(begin, begin + Math.floor((end - begin) / 2)), () =>
      request.socket.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
/** Ranges as they are, and whole files compressed where the request allows it, as servers with gzip_static do. */
function answerCompressed(request: IncomingMessage, response: ServerResponse): void {
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
  if (from !== undefined) {
    const part = bytes.subarray(Number(from), to ? Number(to) + 1 : bytes.length);
    const range = `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { "Content-Range": range, "Content-Length": part.length }).end(part);
    return;
  }
  const isCompressed = /gzip/.test(String(request.headers["accept-encoding"]));
  const body = isCompressed ? gzipSync(bytes) : bytes;
  response.writeHead(200, {
    ...(isCompressed && { "Content-Encoding": "gzip" }),
    "Content-Length": body.length,
  });
  response.end(body);
}

/** What a page of another origin sees: the headers that need no permission. */
const acrossOrigins = (async (address: string, init: RequestInit) => {
  const response = await fetch(address, init);
  const shown = ["content-length", "content-type", "last-modified"];
  const headers = [...response.headers].filter(([name]) => shown.includes(name));
  return new Response(response.body, { status: response.status, headers });
}) as typeof fetch;

test("a file of another origin is whole, though its server compresses", async () => {
  const source = await openUrl(address("/compressing"), { fetch: acrossOrigins });
  expect(source?.size).toBe(bytes.length);
  expect(Buffer.compare(await readBytes(source!, 0, bytes.length), bytes)).toBe(0);
  await source!.close?.();
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const address = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;

test.each(["/ranges", "/whole"])("a connection that is cut is taken up again: %s", async (path) => {
  requests = [];
  const source = await openUrl(address(path), { retryDelayMs: 1 });
  expect(source?.size).toBe(bytes.length);
  const read = await readBytes(source!, 10, bytes.length);
  expect(Buffer.compare(read, bytes.subarray(10))).toBe(0);
  await source!.close?.();
  if (path === "/ranges") expect(requests.length).toBeGreaterThan(2);
});

test("a missing file, and a server that is not there", async () => {
  expect(await openUrl(address("/missing"))).toBeUndefined();
  await expect(openUrl("http://127.0.0.1:9/x", { retries: 1, retryDelayMs: 1 })).rejects.toThrow();
});

test("an abort ends a download", async () => {
  requests = [];
  const source = await openUrl(address("/ranges"));
  const read = readBytes(source!, 0, bytes.length, AbortSignal.abort("enough"));
  await expect(read).rejects.toMatchObject({ code: "aborted", cause: "enough" });
  await source!.close?.();
});
