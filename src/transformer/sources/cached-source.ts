import { AttentionError } from "webgpu-attention";
import { type ByteSource, readRange } from "./byte-source.js";
import { HttpError } from "./requests.js";

/** Pieces are stored whole, so that a download which was cut off is carried on, and never more than one is in memory. */
const PIECE_BYTES = 8 * 2 ** 20;
/** Parts of a file that nothing reads leave holes among its pieces; none is near this many. */
const MOST_MISSING_PIECES = 1024;

/** What is used of the Cache API; `Cache` has it. */
export interface PieceCache {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
  delete(key: string): Promise<boolean>;
}

/** A version of a file that can be told from others. */
type Version = Pick<ByteSource, "name" | "size"> & { readonly version: string };

/** In place of a version: the server had no such file, or refused it, and never gave one before. */
const NONE = "none";

/**
 * Opens a file whose pieces a cache keeps, under keys of their own that hold the file's size and version: a new version is downloaded
 * anew, and the pieces of the last one are dropped. Without a connection, or while the server has none to give, the version that was
 * seen last is read from the cache, and a file that was missing is so still: models are looked for under several names. Of a file whose
 * version its server does not tell, nothing is kept: pieces of two could meet.
 *
 * @param address a query is no part of the keys: signatures differ from day to day
 * @param open opens the file itself
 */
export async function openCached(
  address: string,
  cache: PieceCache,
  open: () => Promise<ByteSource | undefined>,
): Promise<ByteSource | undefined> {
  const keys = new Keys(address);
  const seenLast = await lastSeen(keys, cache);
  const known = seenLast === NONE ? undefined : seenLast;
  let source: ByteSource | undefined;
  try {
    source = await open();
  } catch (error) {
    if (error instanceof HttpError && error.isRefusal) {
      if (!seenLast) await keepNone(keys, cache);
      // Stores refuse what they do not have, but this they have.
      if (known) throw new Error(`${error.message}, which was there before`, { cause: error });
    }
    if (!seenLast || isAnswer(error)) throw error;
    if (!known) {
      // A server that fails may have the file by now.
      if (error instanceof HttpError) throw error;
      return undefined;
    }
    const offline: ByteSource["stream"] = () => {
      throw error;
    };
    return cachedSource({ ...known, stream: offline }, known, keys, cache);
  }
  // No file is no other version of it: networks that ask for a password first answer with a page of theirs.
  if (!source) {
    if (!seenLast) await keepNone(keys, cache);
    return undefined;
  }
  const { name, size, version } = source;
  if (known && (known.size !== size || known.version !== version)) await forget(known, keys, cache);
  if (version === undefined) {
    if (seenLast === NONE) await cache.delete(keys.version).catch(() => false);
    return source;
  }
  const seen = { name, size, version };
  await keep(cache, keys.version, JSON.stringify(seen));
  return cachedSource(source, seen, keys, cache);
}

/** A server that says no, or a file that is none, is no missing connection. */
function isAnswer(error: unknown): boolean {
  return error instanceof AttentionError || (error instanceof HttpError && !error.isPassing);
}

function cachedSource(inner: ByteSource, seen: Version, keys: Keys, cache: PieceCache): ByteSource {
  const { size } = seen;
  const bytesOf = (index: number) => Math.min(PIECE_BYTES, size - index * PIECE_BYTES);
  /** Pieces from `first` on, before `last`, as they are downloaded; they are kept, too. */
  async function* download(first: number, last: number, signal: AbortSignal | undefined) {
    let index = first;
    let piece = new Uint8Array(bytesOf(index));
    let filled = 0;
    const end = Math.min(last * PIECE_BYTES, size);
    for await (let rest of readRange(inner, first * PIECE_BYTES, end, signal)) {
      while (rest.byteLength > 0) {
        const part = rest.subarray(0, piece.byteLength - filled);
        piece.set(part, filled);
        filled += part.byteLength;
        rest = rest.subarray(part.byteLength);
        if (filled < piece.byteLength) continue;
        await keep(cache, keys.piece(seen, index), piece);
        yield piece;
        index++;
        piece = new Uint8Array(index < last ? bytesOf(index) : 0);
        filled = 0;
      }
    }
  }
  return {
    ...seen,
    async *stream(begin, end, signal) {
      const last = Math.ceil(end / PIECE_BYTES);
      const cut = (piece: Uint8Array, index: number) =>
        piece.subarray(Math.max(begin - index * PIECE_BYTES, 0), end - index * PIECE_BYTES);
      for (let index = Math.floor(begin / PIECE_BYTES); index < last; ) {
        const piece = await cachedPiece(cache, keys.piece(seen, index), bytesOf(index));
        if (piece) {
          yield cut(piece, index++);
          continue;
        }
        // One request for all pieces up to the next one that is there.
        let next = index + 1;
        while (next < last && !(await matched(cache, keys.piece(seen, next)))) next++;
        for await (const downloaded of download(index, next, signal)) yield cut(downloaded, index++);
      }
    },
    close: async () => inner.close?.(),
    discard: () => forget(seen, keys, cache),
  };
}

/** When the cache is full, reading goes on without it. */
async function keep(cache: PieceCache, key: string, body: string | Uint8Array<ArrayBuffer>): Promise<void> {
  await cache.put(key, new Response(body)).catch(() => {});
}

async function keepNone(keys: Keys, cache: PieceCache): Promise<void> {
  await keep(cache, keys.version, JSON.stringify(NONE));
}

async function matched(cache: PieceCache, key: string): Promise<Response | undefined> {
  return cache.match(key).catch(() => undefined);
}

/** Which version of a file the cache was used for last. */
async function lastSeen(keys: Keys, cache: PieceCache): Promise<Version | typeof NONE | undefined> {
  const found = await matched(cache, keys.version);
  const seen: Version | typeof NONE | undefined = await found?.json().catch(() => undefined);
  if (seen === NONE) return NONE;
  const isVersion = Number.isSafeInteger(seen?.size) && typeof seen?.version === "string";
  return isVersion ? seen : undefined;
}

async function forget(version: Version, keys: Keys, cache: PieceCache): Promise<void> {
  let missing = 0;
  for (let index = 0; index * PIECE_BYTES < version.size && missing < MOST_MISSING_PIECES; index++) {
    const was = await cache.delete(keys.piece(version, index)).catch(() => false);
    missing = was ? 0 : missing + 1;
  }
}

/** A piece of the right length; a damaged entry is dropped. */
async function cachedPiece(
  cache: PieceCache,
  key: string,
  bytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const found = await matched(cache, key);
  if (!found) return undefined;
  const body = await found.arrayBuffer().catch(() => undefined);
  if (body?.byteLength === bytes) return new Uint8Array(body);
  await cache.delete(key).catch(() => false);
  return undefined;
}

/** Names of what is kept of one file: its own address without a query, which the Cache API wants absolute, and what it is. */
class Keys {
  readonly #address: string;

  constructor(address: string) {
    const url = new URL(address, globalThis.location?.href);
    this.#address = `${url.origin}${url.pathname}`;
  }

  get version(): string {
    return this.#keyOf("version");
  }

  piece({ size, version }: Version, index: number): string {
    return this.#keyOf(`${index} of ${size} bytes, ${version}`);
  }

  #keyOf(what: string): string {
    return `${this.#address}?${new URLSearchParams({ "webgpu-attention": what })}`;
  }
}
