import type { ByteSource } from "./byte-source.js";

const PIECE_BYTES = 4 * 2 ** 20;

/** A file that is in memory already. Pieces are copies, since whoever receives one may change it. */
export function bytesSource(name: string, bytes: ArrayBuffer | Uint8Array): ByteSource {
  const all = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  return {
    name,
    size: all.byteLength,
    async *stream(begin, end) {
      for (let from = begin; from < end; from += PIECE_BYTES) {
        yield all.slice(from, Math.min(from + PIECE_BYTES, end));
      }
    },
  };
}
