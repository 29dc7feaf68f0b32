import { show } from "../show.js";
import { type ByteSource, readBytes } from "../sources/byte-source.js";
import { parseStrictJson } from "../sources/read-json.js";
import { damaged } from "./file-errors.js";
import type { StoredTensor, WeightFile } from "./stored-tensor.js";

const LENGTH_BYTES = 8;
/** A hundred times the header of a model of a thousand tensors; the format's own bound is 100 MB. */
export const MOST_HEADER_BYTES = 16 * 2 ** 20;
const OPENING_BRACE = 0x7b;

/** Bytes of one value, of all types that the format has. Others than floats may stand in a file, unread. */
const TYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};

/** A safetensors file with its header read and checked. */
export interface SafetensorsFile extends WeightFile {
  /** Bytes before the data. */
  readonly headerBytes: number;
}

/**
 * Reads the header of a safetensors file: 8 bytes of its length, little-endian, JSON, then the data of all tensors without gaps or
 * overlaps to the end of the file. Nothing is allocated for what a header merely claims.
 *
 * @param mostBytes of the header
 * @throws AttentionError "format" for anything that is not exactly that, "aborted"
 */
export async function readSafetensorsHeader(
  source: ByteSource,
  signal?: AbortSignal,
  mostBytes = MOST_HEADER_BYTES,
): Promise<SafetensorsFile> {
  const { name: file, size } = source;
  if (size < LENGTH_BYTES) throw damaged(file, `at least ${LENGTH_BYTES} bytes`, `${size}`);
  const length = headerLength(file, size, await readBytes(source, 0, LENGTH_BYTES, signal), mostBytes);
  const dataBegin = LENGTH_BYTES + length;
  const header = parseHeader(file, await readBytes(source, LENGTH_BYTES, dataBegin, signal));
  checkMetadata(file, header.__metadata__);
  const tensors = Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => readEntry(file, name, entry, dataBegin));
  checkCoverage(file, tensors, dataBegin, size);
  return { source, tensors, headerBytes: dataBegin };
}

function headerLength(file: string, size: number, bytes: Uint8Array<ArrayBuffer>, mostBytes: number): number {
  const length = new DataView(bytes.buffer).getBigUint64(0, true);
  const most = Math.max(Math.min(size - LENGTH_BYTES, mostBytes), 0);
  if (length <= most) return Number(length);
  throw damaged(`${file} header`, `at most ${most} bytes`, `${length}`);
}

function parseHeader(file: string, bytes: Uint8Array): Record<string, unknown> {
  if (bytes[0] !== OPENING_BRACE) {
    throw damaged(`${file} header`, 'a JSON object in UTF-8, "{" its first byte', `${bytes[0] ?? "none"}`);
  }
  const header = parseStrictJson(`${file} header`, bytes);
  if (isRecord(header)) return header;
  throw damaged(`${file} header`, "a JSON object", show(header));
}

function checkMetadata(file: string, metadata: unknown): void {
  if (metadata === undefined) return;
  if (isRecord(metadata) && Object.values(metadata).every((value) => typeof value === "string")) return;
  throw damaged(`${file} __metadata__`, "an object of strings", show(metadata));
}

function readEntry(file: string, name: string, entry: unknown, dataBegin: number): StoredTensor {
  const subject = `${file} tensor "${name}"`;
  if (!isRecord(entry)) throw damaged(subject, "dtype, shape and data_offsets", show(entry));
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(TYPE_BYTES, dtype)) {
    throw damaged(`${subject} dtype`, `one of ${Object.keys(TYPE_BYTES).join(", ")}`, show(dtype));
  }
  if (!isSizes(shape) || shape.length > 8) throw damaged(`${subject} shape`, "up to 8 sizes", show(shape));
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw damaged(`${subject} data_offsets`, "[begin, end] in bytes", show(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((product, size) => product * size, TYPE_BYTES[dtype]!);
  if (end - begin !== bytes) {
    throw damaged(`${subject} data_offsets`, `${bytes} bytes for ${dtype} [${shape}]`, `${end - begin}`);
  }
  return { name, dtype, shape, begin: dataBegin + begin, end: dataBegin + end };
}

/** Every byte of the data belongs to exactly one tensor, as the format demands. */
function checkCoverage(
  file: string,
  tensors: readonly StoredTensor[],
  dataBegin: number,
  size: number,
): void {
  const sorted = [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = dataBegin;
  for (const { name, begin, end } of sorted) {
    const subject = `${file} tensor "${name}" data_offsets`;
    if (end > size)
      throw damaged(subject, `an end within the ${size - dataBegin} bytes of data`, `${end - dataBegin}`);
    if (begin !== covered) {
      const what = begin < covered ? "no overlap" : "no gap";
      throw damaged(subject, `a begin at ${covered - dataBegin}: ${what}`, `${begin - dataBegin}`);
    }
    covered = end;
  }
  if (covered !== size) throw damaged(file, `${covered - dataBegin} bytes of data`, `${size - dataBegin}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
