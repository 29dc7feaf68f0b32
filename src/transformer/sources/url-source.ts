import { AttentionError } from "webgpu-attention";
import type { ByteSource } from "./byte-source.js";
import { bytesSource } from "./bytes-source.js";
import { OpenResponse, rangeStart, sizeOf, versionOf } from "./open-response.js";
import { Requests, type UrlOptions } from "./requests.js";

/** Enough for configurations and most headers of weights, so that these need one request. */
const PROBE_BYTES = 64 * 1024;
/** A server that tells no size is believed for files up to this. */
const MOST_BYTES_OF_UNKNOWN_SIZE = 64 * 2 ** 20;

/**
 * A file behind an address. Ranges are requested; of a server that ignores them, one response is kept open and read on, so that
 * reading in order downloads the file once.
 *
 * @returns undefined where the server says that there is no such file (404, 410, or a page in place of a file)
 */
export async function openUrl(
  address: string,
  options: UrlOptions = {},
  signal?: AbortSignal,
): Promise<ByteSource | undefined> {
  const requests = new Requests(address, options);
  const response = await requests.send(0, PROBE_BYTES, signal);
  if (response.status === 404 || response.status === 410 || isPage(address, response)) {
    await response.body?.cancel();
    return undefined;
  }
  if (response.status === 416) return bytesSource(address, new Uint8Array(0));
  const size = sizeOf(response);
  if (size !== undefined) return new UrlSource(requests, size, response);
  if (response.status === 200) return bytesSource(address, await readSmall(address, response));
  // A range whose total is withheld (Content-Range is not exposed to pages of other origins): ask for everything.
  await response.body?.cancel();
  const whole = await requests.send(0, undefined, signal);
  const total = sizeOf(whole);
  return total === undefined
    ? bytesSource(address, await readSmall(address, whole))
    : new UrlSource(requests, total, whole);
}

class UrlSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly version?: string;
  readonly #requests: Requests;
  /** What is read next, if that lies ahead in it. */
  #open: OpenResponse | undefined;

  constructor(requests: Requests, size: number, first: Response) {
    this.#requests = requests;
    this.name = requests.address;
    this.size = size;
    const version = versionOf(first);
    if (version !== undefined) this.version = version;
    this.#open = new OpenResponse(first, 0);
    this.#openEnd = first.status === 206 ? Math.min(PROBE_BYTES, size) : size;
  }

  /** Where the open response ends. */
  #openEnd: number;

  async *stream(begin: number, end: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    let failures = 0;
    for (let position = begin; position < end; ) {
      try {
        const response = await this.#responseAt(position, end, signal, failures);
        const skip = position - response.position;
        const piece = await response.next(skip > 0 ? skip : end - position);
        if (piece === undefined) {
          this.#open = undefined;
          // A response that ends where it should is no failure: the next range is asked for.
          if (response.position < this.#openEnd) throw new Error("the connection ended early");
          continue;
        }
        if (skip > 0) continue;
        failures = 0;
        position += piece.byteLength;
        yield piece;
      } catch (error) {
        this.#open = undefined;
        signal?.throwIfAborted();
        if (error instanceof AttentionError || ++failures > this.#requests.retries) throw error;
      }
    }
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.cancel();
  }

  async #responseAt(
    position: number,
    end: number,
    signal: AbortSignal | undefined,
    failures: number,
  ): Promise<OpenResponse> {
    const kept = this.#open;
    if (kept && kept.position <= position && position < this.#openEnd) return kept;
    await this.close();
    const response = await this.#requests.send(position, end, signal, failures);
    this.#checkVersion(response);
    const from = response.status === 206 ? (rangeStart(response) ?? position) : 0;
    if (!response.ok || from > position) {
      throw new Error(`HTTP ${response.status} instead of bytes ${position} to ${end} of ${this.name}`);
    }
    this.#openEnd = response.status === 206 ? end : this.size;
    this.#open = new OpenResponse(response, from);
    return this.#open;
  }

  #checkVersion(response: Response): void {
    const version = versionOf(response);
    if (this.version === undefined || version === undefined || version === this.version) return;
    throw new AttentionError("format", {
      subject: this.name,
      expected: `the version ${this.version} to its end`,
      got: `${version}`,
      fix: "The file was replaced while it was read; load it again.",
    });
  }
}

/** Servers of single-page applications answer with their page where a file is missing. */
function isPage(address: string, response: Response): boolean {
  return (
    response.ok &&
    /^text\/html\b/.test(response.headers.get("content-type") ?? "") &&
    !/\.html?$/.test(new URL(address, "http://base/").pathname)
  );
}

async function readSmall(address: string, response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const body = new OpenResponse(response, 0);
  for (
    let chunk = await body.next(Number.POSITIVE_INFINITY);
    chunk;
    chunk = await body.next(Number.POSITIVE_INFINITY)
  ) {
    bytes += chunk.byteLength;
    if (bytes > MOST_BYTES_OF_UNKNOWN_SIZE) {
      await body.cancel();
      throw new AttentionError("unsupported", {
        subject: address,
        expected: "a server that answers ranges or tells the size of a large file",
        got: "neither Content-Range nor Content-Length",
        fix: "Serve the file without compression, and expose Content-Range to pages of other origins.",
      });
    }
    chunks.push(chunk);
  }
  const all = new Uint8Array(bytes);
  let filled = 0;
  for (const chunk of chunks) {
    all.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return all;
}
