import { AttentionError } from "webgpu-attention";
import type { ByteSource } from "./byte-source.js";
import { bytesSource } from "./bytes-source.js";

/** How files are fetched. */
export interface UrlOptions {
  /** In place of the global `fetch`: a proxy, authorisation, a test. */
  readonly fetch?: typeof fetch;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How often one range is asked for again before giving up, without a byte in between. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, in ms; doubled each time. Default 250. */
  readonly retryDelayMs?: number;
}

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

/** Sends requests for ranges of one address, again where the connection or the server fails. */
class Requests {
  readonly address: string;
  readonly retries: number;
  readonly #options: UrlOptions;

  constructor(address: string, options: UrlOptions) {
    this.address = address;
    this.retries = options.retries ?? 4;
    this.#options = options;
  }

  /** @param failures how many attempts have failed before this one */
  async send(
    begin: number,
    end: number | undefined,
    signal: AbortSignal | undefined,
    failures = 0,
  ): Promise<Response> {
    for (let failed = failures; ; failed++) {
      if (failed > 0) await this.#pause(failed, signal);
      let problem: unknown;
      try {
        const response = await this.#fetch(begin, end, signal);
        if (response.ok || [404, 410, 416].includes(response.status)) return response;
        problem = new Error(`HTTP ${response.status} ${response.statusText} for ${this.address}`);
        await response.body?.cancel();
        const passing = response.status >= 500 || response.status === 429 || response.status === 408;
        if (!passing) throw new Refused(problem);
      } catch (error) {
        if (error instanceof Refused) throw error.cause;
        signal?.throwIfAborted();
        problem = error;
      }
      if (failed >= this.retries) throw problem;
    }
  }

  #fetch(begin: number, end: number | undefined, signal: AbortSignal | undefined): Promise<Response> {
    const { fetch: own, headers } = this.#options;
    const range = end === undefined ? undefined : { Range: `bytes=${begin}-${end - 1}` };
    return (own ?? fetch)(this.address, { headers: { ...headers, ...range }, signal: signal ?? null });
  }

  async #pause(failed: number, signal: AbortSignal | undefined): Promise<void> {
    const wait = (this.#options.retryDelayMs ?? 250) * 2 ** (failed - 1);
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, wait);
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop, { once: true });
    });
  }
}

/** Keeps an answer that asking again would not change apart from a failure that it might. */
class Refused extends Error {
  constructor(cause: unknown) {
    super("refused", { cause });
  }
}

/** A response being read, and where its next byte lies in the file. */
class OpenResponse {
  position: number;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array | undefined;

  constructor(response: Response, position: number) {
    if (!response.body) throw new Error("the response has no body");
    this.#reader = response.body.getReader();
    this.position = position;
  }

  /** The next piece of at most `most` bytes; undefined at the end. */
  async next(most: number): Promise<Uint8Array | undefined> {
    let piece = this.#rest;
    if (!piece) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      piece = value;
    }
    this.#rest = piece.byteLength > most ? piece.subarray(most) : undefined;
    const taken = piece.subarray(0, most);
    this.position += taken.byteLength;
    return taken;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
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

/** A strong ETag. A weak one, or a date, may stay while bytes change, or differ between servers that hold the same. */
function versionOf(response: Response): string | undefined {
  const tag = response.headers.get("etag");
  return tag && !tag.startsWith("W/") ? tag : undefined;
}

/** Bytes of the whole file, where the response tells. */
function sizeOf(response: Response): number | undefined {
  const { headers, status } = response;
  if (status === 206) return wholeNumber(headers.get("content-range")?.match(/\/\s*(\d+)\s*$/)?.[1]);
  // The length of a compressed body is not the file's.
  const encoding = headers.get("content-encoding") ?? "identity";
  return encoding === "identity" ? wholeNumber(headers.get("content-length")) : undefined;
}

function rangeStart(response: Response): number | undefined {
  return wholeNumber(response.headers.get("content-range")?.match(/bytes\s+(\d+)-/)?.[1]);
}

function wholeNumber(text: string | null | undefined): number | undefined {
  const value = Number(text ?? Number.NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
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
