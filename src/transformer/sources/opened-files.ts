import { AttentionError } from "webgpu-attention";
import { type ByteSource, readBytes } from "./byte-source.js";
import { type HashedSource, hashedSource } from "./hashed-source.js";
import type { ModelFiles } from "./model-files.js";
import { isRefusal, throwIfAborted, unreadable } from "./source-errors.js";

/** No file is near it: a size beyond comes from a server, or an opener, that does not tell the truth. */
const MOST_FILE_BYTES = 2 ** 44;
/** Of configurations and templates; tokenizers are larger. */
const MOST_CONFIGURATION_BYTES = 16 * 2 ** 20;

/** The files of a model that were opened while it is loaded, to be verified and closed together. */
export class OpenedFiles {
  readonly #files: ModelFiles;
  readonly #sha256: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal | undefined;
  readonly #opened: ByteSource[] = [];
  readonly #hashed = new Map<string, HashedSource>();

  /** @param sha256 of files by their paths, as far as they are known */
  constructor(files: ModelFiles, sha256: Readonly<Record<string, string>> = {}, signal?: AbortSignal) {
    this.#files = files;
    this.#sha256 = sha256;
    this.#signal = signal;
  }

  /** Path of the one file that is meant, where the model is a single file. */
  get single(): string | undefined {
    return this.#files.single;
  }

  /** @returns undefined where there is no such file */
  async open(path: string): Promise<ByteSource | undefined> {
    throwIfAborted(path, this.#signal);
    const source = await this.#openSource(path);
    if (!source) return undefined;
    this.#opened.push(source);
    const expected = Object.hasOwn(this.#sha256, path) ? this.#sha256[path] : undefined;
    if (expected === undefined) return source;
    const hashed = await hashedSource(source, expected);
    this.#hashed.set(path, hashed);
    return hashed;
  }

  /**
   * A whole file; undefined where there is none.
   *
   * @param mostBytes default 16 MiB
   * @throws AttentionError "limit" for a larger one
   */
  async read(
    path: string,
    mostBytes = MOST_CONFIGURATION_BYTES,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const source = await this.open(path);
    if (!source) return undefined;
    try {
      if (source.size > mostBytes) throw tooLarge(source, mostBytes);
      return await readBytes(source, 0, source.size, this.#signal);
    } finally {
      await source.close?.();
    }
  }

  /**
   * As `read`, for a file that a model can do without: access that is refused counts as absence once another file was opened, since
   * stores that do not list their files, and signatures of a single file, refuse every other.
   */
  async readOptional(path: string, mostBytes?: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const hasOthers = this.#opened.length > 0;
    try {
      return await this.read(path, mostBytes);
    } catch (error) {
      if (hasOthers && isRefusal(error)) return undefined;
      throw error;
    }
  }

  /** @throws AttentionError "format" when a file has another hash than was given for it, or one that a hash was given for was not read */
  async verify(): Promise<void> {
    for (const path of Object.keys(this.#sha256)) {
      const source = this.#hashed.get(path);
      if (!source) throw notRead(path);
      await source.verify(this.#signal);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((source) => source.close?.()));
  }

  /** What an application's own opener gives, or throws, is checked as files are. */
  async #openSource(path: string): Promise<ByteSource | undefined> {
    try {
      const source = await this.#files.open(path, this.#signal);
      if (!source || isSize(source.size)) return source;
      throw new TypeError(`its size is ${source.size}`);
    } catch (cause) {
      throw unreadable(path, cause, this.#signal);
    }
  }
}

function isSize(bytes: number): boolean {
  return Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= MOST_FILE_BYTES;
}

function tooLarge({ name, size }: ByteSource, mostBytes: number): AttentionError {
  return new AttentionError("limit", {
    subject: name,
    expected: `at most ${mostBytes} bytes`,
    got: `${size}`,
    fix: "Check that the address leads to the model's own file: none of this name is near that size.",
  });
}

function notRead(path: string): AttentionError {
  return new AttentionError("format", {
    subject: `sha256 of "${path}"`,
    expected: "the path of a file that the model is loaded from",
    got: "a file that was not read",
    fix: 'Name files as they lie in the model\'s folder: "model.safetensors".',
  });
}
