import { type ByteSource, readBytes } from "./byte-source.js";

/** Pieces are stored whole, so that a download which was cut off is carried on, and never more than one is in memory. */
const PIECE_BYTES = 8 * 2 ** 20;

/** What is used of the Cache API; `Cache` has it. */
export interface PieceCache {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
  delete(key: string): Promise<boolean>;
}

/**
 * Opens a file whose pieces a cache keeps, under keys of their own that hold the file's size and version: a new version is downloaded
 * anew, and the pieces of the last one are dropped. Without a connection, the version that was seen last is read from the cache.
 *
 * @param open opens the file itself
 */
export async function openCached(
  address: string,
  cache: PieceCache,
  open: () => Promise<ByteSource | undefined>,
): Promise<ByteSource | undefined> {
  const known = await knownVersion(address, cache);
  let source: ByteSource | undefined;
  try {
    source = await open();
  } catch (error) {
    if (!known) throw error;
    const offline: ByteSource["stream"] = () => {
      throw error;
    };
    return cachedSource({ ...known, stream: offline }, cache);
  }
  if (known && (known.size !== source?.size || known.version !== source.version)) await forget(known, cache);
  if (!source) return undefined;
  const { name, size, version } = source;
  await keep(cache, keyOf(address, "version"), JSON.stringify({ name, size, version }));
  return cachedSource(source, cache);
}

function cachedSource(inner: ByteSource, cache: PieceCache): ByteSource {
  const { name, size, version } = inner;
  return {
    name,
    size,
    ...(version !== undefined && { version }),
    async *stream(begin, end, signal) {
      for (let index = Math.floor(begin / PIECE_BYTES); index * PIECE_BYTES < end; index++) {
        const from = index * PIECE_BYTES;
        const to = Math.min(from + PIECE_BYTES, size);
        let piece = await cachedPiece(cache, pieceKey(inner, index), to - from);
        if (!piece) {
          piece = await readBytes(inner, from, to, signal);
          await keep(cache, pieceKey(inner, index), piece);
        }
        yield piece.subarray(Math.max(begin - from, 0), Math.min(end, to) - from);
      }
    },
    close: async () => inner.close?.(),
  };
}

/** When the cache is full, reading goes on without it. */
async function keep(cache: PieceCache, key: string, body: string | Uint8Array<ArrayBuffer>): Promise<void> {
  await cache.put(key, new Response(body)).catch(() => {});
}

type Version = Pick<ByteSource, "name" | "size" | "version">;

/** Which version of a file the cache was used for last. */
async function knownVersion(address: string, cache: PieceCache): Promise<Version | undefined> {
  const found = await cache.match(keyOf(address, "version")).catch(() => undefined);
  const version: Version | undefined = await found?.json().catch(() => undefined);
  return Number.isSafeInteger(version?.size) ? version : undefined;
}

async function forget(version: Version, cache: PieceCache): Promise<void> {
  for (let index = 0; index * PIECE_BYTES < version.size; index++) {
    await cache.delete(pieceKey(version, index)).catch(() => false);
  }
}

/** A piece of the right length; a damaged entry is dropped. */
async function cachedPiece(
  cache: PieceCache,
  key: string,
  bytes: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const found = await cache.match(key).catch(() => undefined);
  if (!found) return undefined;
  const piece = new Uint8Array(await found.arrayBuffer());
  if (piece.byteLength === bytes) return piece;
  await cache.delete(key);
  return undefined;
}

function pieceKey({ name, size, version }: Version, index: number): string {
  return keyOf(name, `${index} of ${size} bytes, ${version ?? "any version"}`);
}

/** The file's own address, which the Cache API wants absolute, with what is kept of it. */
function keyOf(address: string, what: string): string {
  const key = new URL(address, globalThis.location?.href);
  key.searchParams.set("webgpu-attention", what);
  return key.href;
}
