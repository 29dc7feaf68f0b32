import { AttentionError } from "../../src/dispatch/errors.js";
import { float16ToNumber } from "../../src/dispatch/float16.js";

type SafetensorsData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

export interface SafetensorsTensor {
  /** As the file names it: `"F16"`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Dense row-major values of its own, not a window of the file; F16 and BF16 are widened to f32, BOOL is 0 or 1. */
  readonly data: SafetensorsData;
}

export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

interface ElementType {
  readonly bytes: number;
  readonly read: (buffer: ArrayBuffer) => SafetensorsData;
}

/** The format is little-endian, as is every machine that runs this: typed arrays read it as it lies. */
const ELEMENT_TYPES: Readonly<Record<string, ElementType>> = {
  F64: { bytes: 8, read: (buffer) => new Float64Array(buffer) },
  F32: { bytes: 4, read: (buffer) => new Float32Array(buffer) },
  F16: { bytes: 2, read: (buffer) => Float32Array.from(new Uint16Array(buffer), float16ToNumber) },
  // bfloat16 is the upper half of a float32.
  BF16: {
    bytes: 2,
    read: (buffer) => new Float32Array(Uint32Array.from(new Uint16Array(buffer), (b) => b << 16).buffer),
  },
  I64: { bytes: 8, read: (buffer) => new BigInt64Array(buffer) },
  U64: { bytes: 8, read: (buffer) => new BigUint64Array(buffer) },
  I32: { bytes: 4, read: (buffer) => new Int32Array(buffer) },
  U32: { bytes: 4, read: (buffer) => new Uint32Array(buffer) },
  I16: { bytes: 2, read: (buffer) => new Int16Array(buffer) },
  U16: { bytes: 2, read: (buffer) => new Uint16Array(buffer) },
  I8: { bytes: 1, read: (buffer) => new Int8Array(buffer) },
  U8: { bytes: 1, read: (buffer) => new Uint8Array(buffer) },
  BOOL: { bytes: 1, read: (buffer) => Uint8Array.from(new Uint8Array(buffer), (value) => (value ? 1 : 0)) },
};

const LENGTH_BYTES = 8;
/** The reference implementation's own bound, against files that ask for absurd allocations. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads a safetensors file: 8-byte little-endian header length, JSON header, raw data without gaps or overlaps.
 *
 * @throws AttentionError "format" for anything that is not exactly that.
 */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const { header, data } = splitHeader(bytes);
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  const located = entries.map(([name, entry]) => locate(name, entry));
  checkCoverage(located, data.byteLength);
  const tensors = new Map<string, SafetensorsTensor>();
  for (const { name, dtype, shape, begin, end, type } of located) {
    // A copy, because a typed array must start at a multiple of its element size and the file promises none.
    const { buffer } = new Uint8Array(data.subarray(begin, end));
    tensors.set(name, { dtype, shape, data: type.read(buffer) });
  }
  return { metadata: readMetadata(header.__metadata__), tensors };
}

function splitHeader(bytes: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  if (bytes.byteLength < LENGTH_BYTES) {
    throw damaged("file", `at least ${LENGTH_BYTES} bytes`, `${bytes.byteLength}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  const room = Math.min(bytes.byteLength - LENGTH_BYTES, MAX_HEADER_BYTES);
  if (length > room) throw damaged("header length", `at most the ${room} bytes that follow it`, `${length}`);
  const start = LENGTH_BYTES + Number(length);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, start));
  return { header, data: bytes.subarray(start) };
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged("header", "JSON in UTF-8", cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (!isRecord(header)) throw damaged("header", "a JSON object", describe(header));
  return header;
}

function readMetadata(metadata: unknown): Record<string, string> {
  if (metadata === undefined) return {};
  if (!isRecord(metadata)) throw damaged("__metadata__", "an object of strings", describe(metadata));
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== "string") throw damaged(`__metadata__.${key}`, "a string", describe(value));
  }
  return metadata as Record<string, string>;
}

interface LocatedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function locate(name: string, entry: unknown): LocatedTensor {
  if (!isRecord(entry)) throw damaged(`tensor "${name}"`, "dtype, shape and data_offsets", describe(entry));
  const { dtype, shape, data_offsets: offsets } = entry;
  const type =
    typeof dtype === "string" && Object.hasOwn(ELEMENT_TYPES, dtype) ? ELEMENT_TYPES[dtype] : undefined;
  if (typeof dtype !== "string" || !type) {
    throw damaged(`dtype of "${name}"`, `one of ${Object.keys(ELEMENT_TYPES).join(", ")}`, describe(dtype));
  }
  if (!isSizes(shape)) throw damaged(`shape of "${name}"`, "an array of sizes", describe(shape));
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw damaged(`data_offsets of "${name}"`, "[begin, end] in bytes", describe(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((product, size) => product * size, type.bytes);
  if (end - begin !== bytes) {
    throw damaged(
      `data_offsets of "${name}"`,
      `${bytes} bytes for ${dtype} [${shape}]`,
      `${end - begin} bytes`,
    );
  }
  return { name, dtype, type, shape, begin, end };
}

/** Every byte of the data belongs to exactly one tensor, as the format demands. */
function checkCoverage(tensors: readonly LocatedTensor[], dataBytes: number): void {
  const sorted = [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of sorted) {
    if (end > dataBytes)
      throw damaged(`data_offsets of "${name}"`, `an end within ${dataBytes} bytes of data`, `${end}`);
    if (begin < covered)
      throw damaged(`data_offsets of "${name}"`, `a begin from ${covered} on, no overlap`, `${begin}`);
    if (begin > covered)
      throw damaged(`data_offsets of "${name}"`, `a begin at ${covered}, no gap`, `${begin}`);
    covered = end;
  }
  if (covered !== dataBytes) throw damaged("file", `${covered} bytes of data`, `${dataBytes}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function describe(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

function damaged(subject: string, expected: string, got: string, cause?: unknown): AttentionError {
  const fix = "The file is damaged or not safetensors; fetch or write it again.";
  return new AttentionError("format", { subject: `safetensors ${subject}`, expected, got, fix, cause });
}
