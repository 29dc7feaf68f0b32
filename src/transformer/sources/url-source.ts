import { AttentionError } from "webgpu-attention";
import type { ByteSource } from "./byte-source.js";
import { bytesSource } from "./bytes-source.js";
import { areApart, type FileVersion, nameOfVersion, versionOf } from "./file-version.js";
import { lengthOf, OpenResponse, rangeOf, sizeOf } from "./open-response.js";
import { type Attempts, HttpError, Requests, type UrlOptions } from "./requests.js";

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
  if (size !== undefined) return new UrlSource(requests, size, response, PROBE_BYTES);
  if (response.status === 200) return bytesSource(address, await readSmall(requests, response, signal));
  // A range whose total is withheld (Content-Range is not exposed to pages of other origins). The length of a range to the end is
  // the file's. It has to be a range: what is asked for whole may come compressed, and its length is then another.
  await response.body?.cancel();
  const whole = await requests.send(0, undefined, signal);
  if (!whole.ok) throw new HttpError(whole, address);
  const total = sizeOf(whole) ?? lengthOf(whole);
  return total === undefined
    ? bytesSource(address, await readSmall(requests, whole, signal))
    : new UrlSource(requests, total, whole, total);
}

class UrlSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly version?: string;
  readonly #requests: Requests;
  readonly #seen: FileVersion;
  /** What is read next, if that lies ahead in it, and where in the file it ends. */
  #open: OpenResponse | undefined;
  #openEnd = 0;

  /** @param asked end of the range that `first` answers */
  constructor(requests: Requests, size: number, first: Response, asked: number) {
    this.#requests = requests;
    this.name = requests.address;
    this.size = size;
    this.#seen = versionOf(first);
    const version = nameOfVersion(this.#seen);
    if (version !== undefined) this.version = version;
    this.#take(first, 0, asked);
  }

  async *stream(begin: number, end: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const attempts: Attempts = { failed: 0 };
    for (let position = begin; position < end; ) {
      const response = await this.#responseAt(position, end, signal, attempts);
      const skip = position - response.position;
      try {
        const piece = await response.next(skip > 0 ? skip : end - position);
        // A response that ends where it should is no failure: the next range is asked for.
        if (piece === undefined && response.position < this.#openEnd)
          throw new Error("the connection ended early");
        if (piece === undefined) this.#open = undefined;
        if (piece === undefined || skip > 0) continue;
        attempts.failed = 0;
        position += piece.byteLength;
        yield piece;
      } catch (error) {
        await this.close();
        signal?.throwIfAborted();
        if (++attempts.failed > this.#requests.retries) throw error;
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
    attempts: Attempts,
  ): Promise<OpenResponse> {
    const kept = this.#open;
    if (kept && kept.position <= position && position < this.#openEnd) return kept;
    await this.close();
    const response = await this.#requests.send(position, end, signal, attempts);
    try {
      this.#checkVersion(response);
      this.#take(response, position, end);
    } catch (error) {
      void response.body?.cancel().catch(() => {});
      throw error;
    }
    return this.#open!;
  }

  /** Servers may answer with less than the range that was asked for, or with all of the file. */
  #take(response: Response, position: number, end: number): void {
    const whole = { begin: 0, end: this.size };
    const range = response.status === 206 ? (rangeOf(response) ?? { begin: position, end }) : whole;
    if (!response.ok || range.begin > position || (range.end <= position && position < this.size)) {
      throw new Error(`HTTP ${response.status} instead of bytes ${position} to ${end} of ${this.name}`);
    }
    this.#openEnd = Math.min(range.end, this.size);
    this.#open = new OpenResponse(response, range.begin, this.#requests.stallMs);
  }

  #checkVersion(response: Response): void {
    if (!response.ok && response.status !== 416) return;
    const size = sizeOf(response);
    const version = response.ok ? versionOf(response) : {};
    if ((size ?? this.size) === this.size && !areApart(this.#seen, version)) return;
    const named = (bytes: number, { tag, modified }: FileVersion) =>
      [`${bytes} bytes`, tag, modified].filter((part) => part !== undefined).join(", ");
    throw new AttentionError("format", {
      subject: this.name,
      expected: `one version to its end (${named(this.size, this.#seen)})`,
      got: named(size ?? this.size, version),
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

/** A file whose size nobody tells: where its response breaks off it is read from the beginning, since no end says what is missing. */
async function readSmall(
  requests: Requests,
  first: Response,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const attempts: Attempts = { failed: 0 };
  for (let response = first; ; ) {
    try {
      return await readBody(requests, response);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof AttentionError || ++attempts.failed > requests.retries) throw error;
    }
    response = await requests.send(0, undefined, signal, attempts);
    if (!response.ok) throw new HttpError(response, requests.address);
  }
}

async function readBody({ address, stallMs }: Requests, response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const body = new OpenResponse(response, 0, stallMs);
  for (let chunk = await body.next(); chunk; chunk = await body.next()) {
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
