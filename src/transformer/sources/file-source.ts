import type { ByteSource } from "./byte-source.js";

const PIECE_BYTES = 4 * 2 ** 20;

/** What is used of Node's modules: the package is compiled without Node's types, as browsers have none. */
interface NodeProcess {
  getBuiltinModule?(name: "node:fs/promises"): NodeFiles | undefined;
}

interface NodeFiles {
  open(path: string | URL): Promise<FileHandle>;
}

interface FileHandle {
  stat(): Promise<{ size: number; mtimeMs: number; isFile(): boolean }>;
  read(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}

/** Node's file system without an import, which bundlers for browsers would stumble over; undefined elsewhere. */
export function nodeFiles(): NodeFiles | undefined {
  const { process } = globalThis as { process?: NodeProcess };
  return process?.getBuiltinModule?.("node:fs/promises");
}

/** A file of Node's or Deno's file system; undefined where there is none of that path. */
export async function openFile(
  files: NodeFiles,
  path: string | URL,
  name: string,
): Promise<ByteSource | undefined> {
  const handle = await openOrMissing(files, path);
  if (!handle) return undefined;
  try {
    const status = await handle.stat();
    if (!status.isFile()) return undefined;
    return {
      name,
      size: status.size,
      version: String(status.mtimeMs),
      stream: (begin, end) => streamFile(files, path, begin, end),
    };
  } finally {
    await handle.close();
  }
}

async function openOrMissing(files: NodeFiles, path: string | URL): Promise<FileHandle | undefined> {
  try {
    return await files.open(path);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

async function* streamFile(
  files: NodeFiles,
  path: string | URL,
  begin: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  const handle = await files.open(path);
  try {
    for (let from = begin; from < end; ) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, end - from));
      const { bytesRead } = await handle.read(piece, 0, piece.byteLength, from);
      if (bytesRead === 0) return;
      from += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
