import { AttentionError } from "webgpu-attention";
import { type ByteSource, readRange } from "./byte-source.js";

/** A source whose bytes are hashed as they are read. */
export interface HashedSource extends ByteSource {
  /**
   * Reads what has not been read yet and compares. Copies of a file that has another hash are dropped.
   *
   * @throws AttentionError "format" when the file has another hash, "aborted"
   */
  verify(signal?: AbortSignal): Promise<void>;
}

/**
 * Checks a file against its SHA-256 while it is read for other purposes: reading in order takes no second pass. What is skipped is
 * read after all.
 *
 * @param expected 64 hexadecimal digits
 */
export async function hashedSource(inner: ByteSource, expected: string): Promise<HashedSource> {
  if (!/^[0-9a-f]{64}$/i.test(expected)) {
    throw new AttentionError("shape", {
      subject: `sha256 of ${inner.name}`,
      expected: "64 hexadecimal digits",
      got: `"${expected}"`,
      fix: "Give the SHA-256 of the file.",
    });
  }
  const { sha256 } = await import("@noble/hashes/sha2.js");
  const hash = sha256.create();
  let hashed = 0;
  const catchUp = async (end: number, signal?: AbortSignal) => {
    if (hashed >= end) return;
    for await (const piece of readRange(inner, hashed, end, signal)) take(hashed, piece);
  };
  const take = (position: number, piece: Uint8Array) => {
    const isNew = piece.subarray(Math.max(hashed - position, 0));
    hash.update(isNew);
    hashed += isNew.byteLength;
  };
  const { name, size, version } = inner;
  return {
    ...{ name, size, ...(version !== undefined && { version }) },
    async *stream(begin, end, signal) {
      await catchUp(begin, signal);
      let position = begin;
      for await (const piece of readRange(inner, begin, end, signal)) {
        take(position, piece);
        position += piece.byteLength;
        yield piece;
      }
    },
    close: async () => inner.close?.(),
    async verify(signal) {
      await catchUp(size, signal);
      const digest = Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
      if (digest === expected.toLowerCase()) return;
      await inner.discard?.();
      throw new AttentionError("format", {
        subject: `SHA-256 of ${name}`,
        expected: expected.toLowerCase(),
        got: digest,
        fix: "The file is damaged or another one; download it again.",
      });
    },
  };
}
