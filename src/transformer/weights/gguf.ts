import { AttentionError } from "webgpu-attention";
import { show } from "../show.js";
import { type ByteSource, readBytes } from "../sources/byte-source.js";
import { unreadable } from "../sources/source-errors.js";
import { damaged } from "./file-errors.js";
import { STORED_BLOCKS, type StoredTensor, type StoredType, type WeightFile } from "./stored-tensor.js";

/** A GGUF file with its header read and checked. */
export interface GgufFile extends WeightFile {
  /** Its key-value pairs; whole numbers of 64 bits as numbers, where these hold them. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What is used of what `@huggingface/gguf` gives. */
interface Parsed {
  readonly metadata: Record<string, unknown>;
  readonly tensorInfos: readonly {
    readonly name: string;
    readonly shape: readonly bigint[];
    readonly dtype: number;
    readonly offset: bigint;
  }[];
  readonly tensorInfoByteRange: readonly [number, number];
  readonly littleEndian: boolean;
}

/** ggml's numbers of the types that can be loaded. */
const TYPES: Readonly<Record<number, StoredType>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  8: "Q8_0",
  12: "Q4_K",
  14: "Q6_K",
  30: "BF16",
};

const MOST_DIMENSIONS = 4;
const MOST_NAME_BYTES = 64;
/** What the parser adds to the file's own pairs, or a file's own pairs of these names take the place of. */
const ADDED_KEYS = ["version", "tensor_count", "kv_count"];
/** Of the letters GGUF, the version and both counts. */
const START_BYTES = 24;

/**
 * Reads the header of a GGUF file with `@huggingface/gguf`, which bounds what it allocates, and checks what that leaves open: that
 * the header ends within the file, keys and names are used once, and each tensor's blocks lie within the file and nobody else's.
 *
 * @throws AttentionError "format" for a damaged file, "unsupported" for a type of values that cannot be loaded or without the
 *   package, "aborted"
 */
export async function readGgufHeader(source: ByteSource, signal?: AbortSignal): Promise<GgufFile> {
  const { gguf, typeName } = await ggufPackage();
  const { parsed, start } = await parse(gguf, source, signal);
  const { name: file, size } = source;
  const { metadata, tensorInfos, tensorInfoByteRange, littleEndian } = parsed;
  const version = start.getUint32(4, littleEndian);
  if (!littleEndian || version < 2) {
    throw damaged(file, "GGUF of version 2 or 3, little-endian", `${version}`);
  }
  const headerEnd = tensorInfoByteRange[1];
  if (headerEnd > size)
    throw damaged(file, `a header within its ${size} bytes`, `one that ends at ${headerEnd}`);
  checkKeys(file, metadata, start.getBigUint64(16, true));
  const alignment = alignmentOf(file, metadata);
  const dataBegin = Math.ceil(headerEnd / alignment) * alignment;
  const place = { file, size, dataBegin, alignment };
  const tensors = tensorInfos.map((info) => checkedTensor(info, place, typeName));
  checkApart(file, tensors);
  return { source, tensors, metadata: withNumbers(metadata) };
}

type GgufParser = (uri: string, options: { fetch: typeof fetch }) => Promise<Parsed>;

async function ggufPackage(): Promise<{ gguf: GgufParser; typeName: (type: number) => string }> {
  try {
    const { gguf, GGMLQuantizationType } = await import("@huggingface/gguf");
    return {
      gguf: gguf as unknown as GgufParser,
      typeName: (type) => GGMLQuantizationType[type] ?? `type ${type}`,
    };
  } catch (cause) {
    throw new AttentionError("unsupported", {
      subject: "GGUF file",
      expected: "the package @huggingface/gguf, which reads its header",
      got: `the error "${cause}"`,
      fix: "Install it: npm install @huggingface/gguf.",
      cause,
    });
  }
}

/** With the file's first bytes, which say how many pairs it has. */
async function parse(
  gguf: GgufParser,
  source: ByteSource,
  signal: AbortSignal | undefined,
): Promise<{ readonly parsed: Parsed; readonly start: DataView }> {
  // What a shorter file lacks is zero, as the parser takes it.
  const start = new Uint8Array(START_BYTES);
  const fetchRange = async (_uri: unknown, init?: RequestInit): Promise<Response> => {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get("Range") ?? "") ?? [];
    const begin = Number(from);
    if (!(begin < source.size))
      throw damaged(source.name, `a header within its ${source.size} bytes`, "a longer one");
    const bytes = await readBytes(source, begin, Math.min(Number(to) + 1, source.size), signal);
    if (begin === 0) start.set(bytes.subarray(0, START_BYTES));
    const range = `bytes ${begin}-${begin + bytes.byteLength - 1}/${source.size}`;
    return new Response(bytes, { status: 206, headers: { "Content-Range": range } });
  };
  try {
    // An address that nobody answers: all reading goes through the function.
    const parsed = await gguf("https://gguf.invalid/model.gguf", { fetch: fetchRange as typeof fetch });
    return { parsed, start: new DataView(start.buffer) };
  } catch (cause) {
    if (cause instanceof AttentionError || signal?.aborted) throw unreadable(source.name, cause, signal);
    throw damaged(source.name, "a GGUF file", cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Of pairs with one key the parser keeps the last; one that is named as what it adds is missing among the others. */
function checkKeys(file: string, metadata: Readonly<Record<string, unknown>>, count: bigint): void {
  const keys = Object.keys(metadata).filter((key) => !ADDED_KEYS.includes(key));
  const broken = keys.find((key) => key.includes("\ufffd"));
  if (broken !== undefined) throw damaged(`${file} key ${show(broken)}`, "a key in UTF-8", "other bytes");
  if (BigInt(keys.length) === count) return;
  const named = keys.includes("general.architecture") ? "keys such as general.architecture" : "keys";
  const expected = `${count}, each once and none of them ${ADDED_KEYS.join(", ")}`;
  throw damaged(`${file} ${named}`, expected, `${keys.length} different ones`);
}

function alignmentOf(file: string, metadata: Readonly<Record<string, unknown>>): number {
  const alignment = metadata["general.alignment"] ?? 32;
  if (Number.isSafeInteger(alignment) && (alignment as number) >= 8 && (alignment as number) % 8 === 0) {
    return alignment as number;
  }
  throw damaged(`${file} general.alignment`, "a multiple of 8", String(alignment));
}

interface Place {
  readonly file: string;
  readonly size: number;
  readonly dataBegin: number;
  readonly alignment: number;
}

function checkedTensor(
  info: Parsed["tensorInfos"][number],
  { file, size, dataBegin, alignment }: Place,
  typeName: (type: number) => string,
): StoredTensor {
  const { name } = info;
  const subject = `${file} tensor ${show(name)}`;
  if (name === "" || name.includes("\ufffd") || new TextEncoder().encode(name).length > MOST_NAME_BYTES) {
    throw damaged(subject, `a name of 1 to ${MOST_NAME_BYTES} bytes in UTF-8`, "another");
  }
  // Rows first, as everywhere else here; the file has the fastest axis first.
  const shape = info.shape.map(Number).reverse();
  const isShape = shape.length >= 1 && shape.length <= MOST_DIMENSIONS;
  const count = shape.reduce((product, length) => product * length, 1);
  if (!isShape || shape.some((length) => length < 1) || !Number.isSafeInteger(count)) {
    throw damaged(
      `${subject} shape`,
      `1 to ${MOST_DIMENSIONS} sizes from 1 on`,
      `[${info.shape.join(", ")}]`,
    );
  }
  const dtype = Object.hasOwn(TYPES, info.dtype) ? TYPES[info.dtype]! : undefined;
  if (!dtype) {
    throw new AttentionError("unsupported", {
      subject,
      expected: `values of ${Object.values(TYPES).join(", ")}`,
      got: typeName(info.dtype),
      fix: "Convert the model to one of these types.",
    });
  }
  const { values, bytes } = STORED_BLOCKS[dtype];
  if (shape.at(-1)! % values !== 0) {
    throw damaged(`${subject} shape`, `rows of whole blocks of ${values} values`, `${shape.at(-1)}`);
  }
  const offset = Number(info.offset);
  if (!Number.isSafeInteger(offset) || offset % alignment !== 0) {
    throw damaged(`${subject} offset`, `a multiple of ${alignment}`, `${info.offset}`);
  }
  const begin = dataBegin + offset;
  const end = begin + (count / values) * bytes;
  if (end > size) throw damaged(subject, `an end within the file's ${size} bytes`, `${end}`);
  return { name, dtype, shape, begin, end };
}

/** No name twice, and no byte in two tensors. */
function checkApart(file: string, tensors: readonly StoredTensor[]): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name)) throw damaged(`${file} tensor "${name}"`, "one of this name", "two");
    names.add(name);
  }
  const sorted = [...tensors].sort((a, b) => a.begin - b.begin);
  sorted.forEach(({ name, begin }, index) => {
    const before = sorted[index - 1];
    if (!before || before.end <= begin) return;
    throw damaged(`${file} tensor "${name}"`, `an offset past the end of "${before.name}"`, "one within it");
  });
}

function withNumbers(metadata: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, asNumbers(value)]));
}

/** Lists are within at most three others: the parser refuses deeper ones. */
function asNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return Array.isArray(value) ? value.map(asNumbers) : value;
}
