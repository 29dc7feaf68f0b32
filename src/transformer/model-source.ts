import { AttentionError } from "webgpu-attention";
import { readBytes } from "./sources/byte-source.js";
import { type ModelSource, modelFiles } from "./sources/model-files.js";
import { throwIfAborted as throwIfReadAborted } from "./sources/source-errors.js";

/** Reads a whole file by its path, and tells of bytes as they arrive. */
export type ReadWithProgress = (
  path: string,
  signal: AbortSignal | undefined,
  onBytes?: (count: number) => void,
) => Promise<Uint8Array>;

/**
 * A reader for any source.
 *
 * @throws AttentionError "unsupported" for anything that is no source; the reader throws "format" for files that cannot be
 *   read and "aborted" when its signal fires
 */
export async function modelReader(source: ModelSource): Promise<ReadWithProgress> {
  const files = await modelFiles(source);
  return async (path, signal, onBytes) => {
    throwIfReadAborted(path, signal);
    const file = await files.open(path, signal);
    if (!file) throw missing(path);
    try {
      return await readBytes(file, 0, file.size, signal, onBytes);
    } finally {
      await file.close?.();
    }
  };
}

function missing(path: string): AttentionError {
  return new AttentionError("format", {
    subject: path,
    expected: "a file of the model",
    got: "no such file",
    fix: "Check the model's address, and that every file lies beside model.json.",
  });
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
