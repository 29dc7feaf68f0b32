import { AttentionError } from "webgpu-attention";

/** Reads a file of the model by its path relative to `model.json`. */
export type ReadModelFile = (path: string, signal?: AbortSignal) => Promise<ArrayBuffer | Uint8Array>;

/** Where a model's files are: a base address that ends in "/", or a function that reads them (Node: `fs.readFile`). */
export type ModelSource = string | URL | ReadModelFile;

/** Like `ReadModelFile`, and tells of bytes as they arrive. */
export type ReadWithProgress = (
  path: string,
  signal: AbortSignal | undefined,
  onBytes?: (count: number) => void,
) => Promise<Uint8Array>;

/**
 * A reader for any source.
 *
 * @throws AttentionError "unsupported" for anything that is no source; the reader throws "format" for files that cannot be
 *   fetched and "aborted" when its signal fires
 */
export function modelReader(source: ModelSource): ReadWithProgress {
  if (typeof source === "function") {
    return async (path, signal, onBytes) => {
      const bytes = await readWith(path, signal, () => source(path, signal));
      const array = ArrayBuffer.isView(bytes)
        ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        : new Uint8Array(bytes);
      onBytes?.(array.byteLength);
      return array;
    };
  }
  const base = String(source);
  if (!base.endsWith("/")) {
    throw new AttentionError("unsupported", {
      subject: "model source",
      expected: 'a base address that ends in "/", or a function (path, signal) => Promise<ArrayBuffer>',
      got: `"${base}"`,
      fix: "Give the address of the folder that holds model.json.",
    });
  }
  return (path, signal, onBytes) =>
    readWith(path, signal, () => fetchBytes(`${base}${path}`, signal, onBytes));
}

/** Runs a read and turns what it throws into the errors of a model. */
async function readWith<T>(
  path: string,
  signal: AbortSignal | undefined,
  read: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  try {
    const result = await read();
    if (result) return result;
    throw new TypeError(`the reader returned ${result}`);
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof AttentionError) throw cause;
    throw new AttentionError("format", {
      subject: path,
      expected: "a readable file of the model",
      got: `the error "${cause}"`,
      fix: "Check the connection and the model's address, and that every file lies beside model.json.",
      cause,
    });
  }
}

async function fetchBytes(
  address: string,
  signal: AbortSignal | undefined,
  onBytes: ((count: number) => void) | undefined,
): Promise<Uint8Array> {
  const response = await fetch(address, { signal: signal ?? null });
  if (!response.ok) throw new Error(`HTTP ${response.status} ${response.statusText} for ${address}`);
  if (!response.body) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    onBytes?.(bytes.byteLength);
    return bytes;
  }
  const chunks: Uint8Array[] = [];
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    chunks.push(next.value);
    onBytes?.(next.value.byteLength);
  }
  return joined(chunks);
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let end = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, end);
    end += chunk.byteLength;
  }
  return bytes;
}

/** @throws AttentionError "aborted" */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new AttentionError("aborted", {
    subject: "sentence encoder",
    expected: "to run to its end",
    got: "an abort signal",
    fix: "Call it again to start over.",
    cause: signal.reason,
  });
}
