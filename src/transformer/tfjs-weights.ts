import { AttentionError } from "webgpu-attention";

/** One tensor of a TensorFlow.js weight manifest. */
export interface TfjsWeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: unknown;
}

/** Shards that, one after the other, hold the group's tensors without gaps. */
export interface TfjsWeightGroup {
  readonly paths: readonly string[];
  readonly weights: readonly TfjsWeightSpec[];
}

/** The value of `weightsManifest` in a TensorFlow.js `model.json`. */
export type TfjsWeightManifest = readonly TfjsWeightGroup[];

/** A weight in row-major order, of the given shape ([] for a scalar). */
export type TfjsTensor =
  | { readonly dtype: "float32"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: "int32"; readonly shape: readonly number[]; readonly data: Int32Array };

/** Bytes read so far, of all shards together. */
export interface TfjsWeightProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface ReadTfjsWeightsOptions {
  readonly signal?: AbortSignal;
  /** Called after each shard. */
  readonly onProgress?: (progress: TfjsWeightProgress) => void;
}

/** Fetches one shard by its path in the manifest, which is relative to `model.json`. */
export type ReadTfjsShard = (path: string) => Promise<ArrayBuffer | Uint8Array>;

/** Both element types here. */
const BYTES_PER_ELEMENT = 4;

/** Beyond every WebGPU implementation's `maxBufferSize`: a shape that asks for more comes from a damaged file. */
const MAX_TENSOR_BYTES = 2 ** 32;

/**
 * Reads the weights of a TensorFlow.js model (little-endian float32 and int32, not quantized).
 *
 * Shards are requested together. A tensor inside one shard is a view of it; only tensors that straddle shards, or lie
 * unaligned in one, are copied. So the shards must not be changed or transferred afterwards.
 *
 * @param manifest  `weightsManifest` of the parsed `model.json`; checked before anything is read.
 * @param readShard called once per path; a rejection counts as a missing shard.
 * @returns tensors by name, in the order of the manifest.
 * @throws AttentionError "format" for a malformed manifest (unknown dtype, negative or huge shape, doubled name), a missing
 *   shard, or shards whose sizes do not add up; "aborted" when `signal` fires.
 */
export async function readTfjsWeights(
  manifest: TfjsWeightManifest,
  readShard: ReadTfjsShard,
  options: ReadTfjsWeightsOptions = {},
): Promise<Map<string, TfjsTensor>> {
  const { signal, onProgress } = options;
  const groupBytes = checkManifest(manifest);
  const totalBytes = groupBytes.reduce((sum, bytes) => sum + bytes, 0);
  let loadedBytes = 0;
  const read = async (path: string) => {
    const shard = await readOne(path, readShard, signal);
    loadedBytes += shard.byteLength;
    onProgress?.({ loadedBytes, totalBytes });
    return shard;
  };
  const work = Promise.all(manifest.map(({ paths }) => Promise.all(paths.map(read))));
  const groups = await untilAborted(work, signal);

  const tensors = new Map<string, TfjsTensor>();
  for (const [index, { paths, weights }] of manifest.entries()) {
    checkSizes(paths, groups[index]!, groupBytes[index]!);
    const take = sequentialReader(groups[index]!);
    for (const spec of weights)
      tensors.set(spec.name, toTensor(spec, take(elementCount(spec) * BYTES_PER_ELEMENT)));
  }
  return tensors;
}

/** Bytes of each group. */
function checkManifest(manifest: TfjsWeightManifest): number[] {
  if (!Array.isArray(manifest)) {
    throw formatError(
      "weightsManifest",
      "an array of groups",
      typeof manifest,
      "Pass weightsManifest of the parsed model.json.",
    );
  }
  const names = new Set<string>();
  return manifest.map((group: TfjsWeightGroup, index) => {
    if (!Array.isArray(group?.paths) || !Array.isArray(group.weights)) {
      throw formatError(`weightsManifest[${index}]`, "{ paths, weights }", show(group), CONVERT_AGAIN);
    }
    let bytes = 0;
    for (const spec of group.weights) {
      checkSpec(spec, names);
      names.add(spec.name);
      bytes += elementCount(spec) * BYTES_PER_ELEMENT;
    }
    return bytes;
  });
}

const CONVERT_AGAIN = "The file is damaged or of a newer format; convert or download the model again.";

function checkSpec(spec: TfjsWeightSpec, names: ReadonlySet<string>): void {
  if (typeof spec?.name !== "string" || names.has(spec.name)) {
    throw formatError("weight name", "a string used once", show(spec?.name), CONVERT_AGAIN);
  }
  const { name, shape, dtype, quantization } = spec;
  if (dtype !== "float32" && dtype !== "int32") {
    throw formatError(
      `dtype of ${name}`,
      '"float32" or "int32"',
      show(dtype),
      "Convert the model to float32.",
    );
  }
  if (quantization !== undefined) {
    throw formatError(
      `weight ${name}`,
      "no quantization",
      "a quantized weight",
      "Convert the model without quantization.",
    );
  }
  const sizes = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!sizes || elementCount(spec) * BYTES_PER_ELEMENT > MAX_TENSOR_BYTES) {
    const expected = `whole sizes of 0 or more and at most ${MAX_TENSOR_BYTES} bytes in all`;
    throw formatError(`shape of ${name}`, expected, show(shape), CONVERT_AGAIN);
  }
}

function elementCount({ shape }: TfjsWeightSpec): number {
  return shape.reduce((product, size) => product * size, 1);
}

async function readOne(
  path: string,
  readShard: ReadTfjsShard,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (signal?.aborted) throw abortedError(signal);
  const missing = (got: string, cause?: unknown) =>
    formatError(
      `shard ${path}`,
      "its bytes",
      got,
      "Place every shard that model.json lists beside it.",
      cause,
    );
  let shard: ArrayBuffer | Uint8Array;
  try {
    shard = await readShard(path);
  } catch (cause) {
    throw signal?.aborted ? abortedError(signal) : missing(`the error "${cause}"`, cause);
  }
  if (ArrayBuffer.isView(shard)) return new Uint8Array(shard.buffer, shard.byteOffset, shard.byteLength);
  if (shard === undefined || shard === null) throw missing(String(shard));
  return new Uint8Array(shard);
}

function checkSizes(paths: readonly string[], shards: readonly Uint8Array[], expectedBytes: number): void {
  const bytes = shards.reduce((sum, shard) => sum + shard.byteLength, 0);
  if (bytes === expectedBytes) return;
  const sizes = paths.map((path, index) => `${path}: ${shards[index]!.byteLength}`).join(", ");
  const got = `${bytes} (${sizes})`;
  throw formatError(
    "shards",
    `${expectedBytes} bytes together`,
    got,
    "A shard is truncated or not the right file; download it again.",
  );
}

/** Hands out the next bytes of the shards laid end to end, copying only across a boundary. */
function sequentialReader(shards: readonly Uint8Array[]): (bytes: number) => Uint8Array {
  let index = 0;
  let offset = 0;
  return (bytes) => {
    while (index < shards.length && offset === shards[index]!.byteLength) {
      index++;
      offset = 0;
    }
    if (bytes === 0) return new Uint8Array(0);
    const inOne = shards[index]!.subarray(offset, offset + bytes);
    offset += inOne.byteLength;
    if (inOne.byteLength === bytes) return inOne;
    const joined = new Uint8Array(bytes);
    joined.set(inOne);
    for (let filled = inOne.byteLength; filled < bytes; ) {
      const part = shards[++index]!.subarray(0, bytes - filled);
      joined.set(part, filled);
      filled += part.byteLength;
      offset = part.byteLength;
    }
    return joined;
  };
}

function toTensor({ dtype, shape }: TfjsWeightSpec, bytes: Uint8Array): TfjsTensor {
  const aligned = bytes.byteOffset % BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  const length = aligned.byteLength / BYTES_PER_ELEMENT;
  return dtype === "int32"
    ? { dtype, shape, data: new Int32Array(aligned.buffer, aligned.byteOffset, length) }
    : { dtype: "float32", shape, data: new Float32Array(aligned.buffer, aligned.byteOffset, length) };
}

/** Settles with the work, or rejects as soon as the signal fires, whatever the reads in flight do. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortedError(signal));
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function abortedError(signal: AbortSignal): AttentionError {
  return new AttentionError("aborted", {
    subject: "readTfjsWeights",
    expected: "to run to its end",
    got: "an abort signal",
    fix: "Call it again to load the weights.",
    cause: signal.reason,
  });
}

/** A value as text, short enough for a message. */
function show(value: unknown): string {
  const text = String(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function formatError(
  subject: string,
  expected: string,
  got: string,
  fix: string,
  cause?: unknown,
): AttentionError {
  return new AttentionError("format", { subject, expected, got, fix, cause });
}
