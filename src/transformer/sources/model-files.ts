import { AttentionError } from "webgpu-attention";
import { type Address, kindOfAddress, splitAddress } from "./address.js";
import { blobSource } from "./blob-source.js";
import type { ByteSource } from "./byte-source.js";
import { bytesSource } from "./bytes-source.js";
import { openCached, type PieceCache } from "./cached-source.js";
import { nodeFiles, openFile } from "./file-source.js";
import { URL_OPTIONS, type UrlOptions } from "./requests.js";
import { unreadable } from "./source-errors.js";
import { openUrl } from "./url-source.js";

/** The files of one model, opened by their paths relative to its folder. */
export interface ModelFiles {
  /** @returns undefined where there is no such file */
  open(path: string, signal?: AbortSignal): Promise<ByteSource | undefined>;
  /** Path of the one file that is meant, where the model is a single file: `model-q4.gguf`. */
  readonly single?: string;
}

/** Reads a whole file by its path relative to the model's folder; undefined where there is none. */
export type ReadModelFile = (
  path: string,
  signal?: AbortSignal,
) => Promise<ArrayBuffer | Uint8Array | undefined>;

/**
 * Where a model's files are:
 * - address of a folder (ends in "/") or of a GGUF file: http(s) and relative ones are fetched; `file:` addresses, and in Node plain
 *   paths, are read from the file system
 * - `File`s that a person chose, one GGUF file or those of a folder, or a single `Blob`
 * - a function that reads a whole file, or an object that opens files for reading by ranges
 */
export type ModelSource = string | URL | Blob | ArrayLike<File> | ReadModelFile | ModelFiles;

export interface ModelFilesOptions extends UrlOptions {
  /** Name of a cache of the Cache API that keeps downloads, or the cache itself. Default: none. */
  readonly cache?: string | PieceCache;
}

/** The names of `ModelFilesOptions`. */
export const MODEL_FILES_OPTIONS = [...URL_OPTIONS, "cache"];

/** @throws AttentionError "unsupported" for anything that is no source, or a cache where there is no Cache API */
export async function modelFiles(source: ModelSource, options: ModelFilesOptions = {}): Promise<ModelFiles> {
  if (typeof source === "function") return readerFiles(source);
  if (source instanceof Blob) return blobFiles(source);
  if (isFileList(source)) return chosenFiles(Array.from(source));
  if (typeof source === "string" || source instanceof URL) return addressFiles(String(source), options);
  if (typeof (source as ModelFiles | null)?.open === "function") return source as ModelFiles;
  throw notASource(source);
}

function readerFiles(read: ReadModelFile): ModelFiles {
  return {
    async open(path, signal) {
      try {
        const bytes = await read(path, signal);
        return bytes === undefined ? undefined : bytesSource(path, bytes);
      } catch (cause) {
        throw unreadable(path, cause, signal);
      }
    },
  };
}

function blobFiles(blob: Blob): ModelFiles {
  const source = blobSource(blob);
  return { single: source.name, open: async (path) => (path === source.name ? source : undefined) };
}

/** Files of a chosen folder have paths that begin with its name; of chosen files only the name is known. */
function chosenFiles(files: readonly File[]): ModelFiles {
  // Only browsers' files have one.
  const pathOf = (file: File) => (file.webkitRelativePath ?? "").split("/").slice(1).join("/") || file.name;
  const byPath = new Map(files.map((file) => [pathOf(file), file]));
  const weights = [...byPath.keys()].filter((path) => path.endsWith(".gguf"));
  const others = ["model.safetensors", "model.safetensors.index.json"];
  const isSingle = weights.length === 1 && !others.some((path) => byPath.has(path));
  const single = isSingle ? weights[0] : undefined;
  return {
    ...(single !== undefined && { single }),
    async open(path) {
      const file = byPath.get(path);
      return file && blobSource(file, path);
    },
  };
}

async function addressFiles(address: string, options: ModelFilesOptions): Promise<ModelFiles> {
  const kind = kindOfAddress(address);
  const parts = splitAddress(address, kind);
  if (!parts || (parts.name !== "" && !parts.name.endsWith(".gguf"))) throw notASource(address);
  const single = parts.name === "" ? {} : { single: parts.name };
  const isFile = kind !== "url" || address.startsWith("file:");
  return { ...single, open: isFile ? openerOfPaths(parts) : await openerOfUrls(parts, options) };
}

function openerOfPaths({ folder }: Address): ModelFiles["open"] {
  const files = nodeFiles();
  if (!files) throw noFileSystem(folder);
  const base = folder.startsWith("file:") ? new URL(folder) : undefined;
  return async (path, signal) => {
    try {
      return await openFile(files, base ? new URL(path, base) : `${folder}${path}`, `${folder}${path}`);
    } catch (cause) {
      throw unreadable(`${folder}${path}`, cause, signal);
    }
  };
}

async function openerOfUrls(
  { folder, query }: Address,
  options: ModelFilesOptions,
): Promise<ModelFiles["open"]> {
  const cache = await openCache(options.cache);
  return async (path, signal) => {
    try {
      // What follows a question mark (a signature) goes with every file.
      const file = `${folder}${path}${query}`;
      const download = () => openUrl(file, options, signal);
      return await (cache ? openCached(file, cache, download) : download());
    } catch (cause) {
      throw unreadable(`${folder}${path}`, cause, signal);
    }
  };
}

async function openCache(cache: string | PieceCache | undefined): Promise<PieceCache | undefined> {
  if (typeof cache !== "string") return cache;
  if (typeof caches !== "undefined") return caches.open(cache);
  throw new AttentionError("unsupported", {
    subject: "cache",
    expected: "a runtime with the Cache API: pages over https or on localhost, workers, Deno",
    got: "none",
    fix: "Leave it out, or give an object with match, put and delete.",
  });
}

function isFileList(source: unknown): source is ArrayLike<File> {
  const { length } = (source ?? {}) as { length?: unknown };
  if (typeof source !== "object" || typeof length !== "number" || typeof Blob === "undefined") return false;
  return length > 0 && Array.from(source as ArrayLike<unknown>).every((file) => file instanceof Blob);
}

function notASource(source: unknown): AttentionError {
  return new AttentionError("unsupported", {
    subject: "model source",
    expected:
      'the address or path of a folder (with "/" at its end) or of a .gguf file, File objects, a Blob, a function that reads a file by its path, or { open(path) }',
    got: typeof source === "string" ? `"${source}"` : String(source),
    fix: "Give the address of the folder that holds the model's config.json.",
  });
}

function noFileSystem(address: string): AttentionError {
  return new AttentionError("unsupported", {
    subject: "model source",
    expected: "Node or Deno for a path of the file system",
    got: `"${address}" in a runtime without one`,
    fix: "Serve the files over http, or pass File objects.",
  });
}
