import type { ByteSource } from "./byte-source.js";

const PIECE_BYTES = 4 * 2 ** 20;

/** A `File` that a person chose, or any `Blob`. */
export function blobSource(blob: Blob, name = blobName(blob)): ByteSource {
  return {
    name,
    size: blob.size,
    async *stream(begin, end) {
      for (let from = begin; from < end; from += PIECE_BYTES) {
        const piece = blob.slice(from, Math.min(from + PIECE_BYTES, end));
        yield new Uint8Array(await piece.arrayBuffer());
      }
    },
  };
}

function blobName(blob: Blob): string {
  return (blob as { name?: string }).name || "Blob";
}
