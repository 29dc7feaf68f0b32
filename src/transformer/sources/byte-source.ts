import { AttentionError } from "webgpu-attention";
import { unreadable } from "./source-errors.js";

/** The bytes of one file, read by ranges. Where they come from is the source's affair; that exactly the range comes is `readRange`'s. */
export interface ByteSource {
  /** Names the file in messages. */
  readonly name: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Differs between versions of the file, where the source knows (an ETag, a date). Without it, no cache keeps the file. */
  readonly version?: string;
  /** The bytes of [begin, end) in pieces of any size. A piece belongs to whoever receives it. */
  stream(begin: number, end: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Frees what the source holds open. It may be read again afterwards. */
  close?(): Promise<void>;
  /** Drops copies that are kept of the file, whose content turned out to be wrong: reading it again then asks where it came from. */
  discard?(): Promise<void>;
}

/** Reads that hold a whole range in memory are for headers and configurations, never for weights. */
const MOST_BYTES_AT_ONCE = 256 * 2 ** 20;

/**
 * The bytes of [begin, end), piece by piece, exactly.
 *
 * @throws AttentionError "format" when the range lies outside of the file, or the source gives fewer or more bytes; "aborted"
 */
export async function* readRange(
  source: ByteSource,
  begin: number,
  end: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const inside = Number.isSafeInteger(begin) && Number.isSafeInteger(end) && begin >= 0 && begin <= end;
  if (!inside || end > source.size) {
    throw new AttentionError("format", {
      subject: source.name,
      expected: `a range within its ${source.size} bytes`,
      got: `${begin} to ${end}`,
      fix: "The file is cut off or damaged; download it again.",
    });
  }
  let position = begin;
  try {
    if (begin < end) {
      for await (const piece of source.stream(begin, end, signal)) {
        signal?.throwIfAborted();
        position += piece.byteLength;
        if (position > end) break;
        if (piece.byteLength > 0) yield piece;
      }
    }
  } catch (cause) {
    throw unreadable(source.name, cause, signal);
  }
  if (position === end) return;
  throw new AttentionError("format", {
    subject: `${source.name}, bytes ${begin} to ${end}`,
    expected: `${end - begin} bytes`,
    got: position > end ? "more" : `${position - begin}`,
    fix: "The file changed or ends early; download it again.",
  });
}

/**
 * The bytes of [begin, end) in one array.
 *
 * @param onBytes told of bytes as they arrive
 * @throws AttentionError as `readRange`; "limit" for more than 256 MiB
 */
export async function readBytes(
  source: ByteSource,
  begin: number,
  end: number,
  signal?: AbortSignal,
  onBytes?: (count: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  if (end - begin > MOST_BYTES_AT_ONCE) {
    throw new AttentionError("limit", {
      subject: source.name,
      expected: `at most ${MOST_BYTES_AT_ONCE} bytes at once`,
      got: `${end - begin}`,
      fix: "This is no header, configuration or tokenizer of a model.",
    });
  }
  // Nothing is allocated for a range that the file does not have.
  const bytes = new Uint8Array(begin <= end && end <= source.size ? end - begin : 0);
  let filled = 0;
  for await (const piece of readRange(source, begin, end, signal)) {
    bytes.set(piece, filled);
    filled += piece.byteLength;
    onBytes?.(piece.byteLength);
  }
  return bytes;
}
