import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { KernelModule } from "../dispatch/kernel-module.js";

export interface CompiledFile {
  readonly kernel: KernelModule;
  /** Files that it was made of, relative to the root of kernels. */
  readonly dependencies: readonly string[];
}

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, "../..");
/** Beside what other tools keep: goes with `npm ci`. */
const FOLDER = join(ROOT, "node_modules/.cache/webgpu-attention/kernels");

/**
 * Compiled kernels on disk: linking and checking all of them takes many seconds, for each server, test run and build anew. A kernel is found
 * by the hash of all that it depends on: its texts, the code that compiles it, and the versions of packages. One version of each is kept.
 */
export class KernelCache {
  readonly #folder: string;

  constructor(folder = FOLDER) {
    this.#folder = folder;
  }

  /** What was kept for these inputs; else what `compile` gives, kept from now on. Failures are not kept, and a folder that cannot be written does no harm. */
  async get(
    path: string,
    inputs: readonly unknown[],
    compile: () => Promise<CompiledFile>,
  ): Promise<CompiledFile> {
    const hash = createHash("sha256")
      .update(toolHash())
      .update(JSON.stringify([path, inputs]));
    const prefix = `${path.replace(/\W+/g, "_")}.`;
    const name = `${prefix}${hash.digest("hex").slice(0, 32)}.json`;
    const known = this.#read(name);
    if (known) return known;
    const compiled = await compile();
    this.#write(prefix, name, compiled);
    return compiled;
  }

  #read(name: string): CompiledFile | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#folder, name), "utf8"));
    } catch {
      return undefined;
    }
  }

  #write(prefix: string, name: string, compiled: CompiledFile): void {
    try {
      mkdirSync(this.#folder, { recursive: true });
      const old = readdirSync(this.#folder).filter((file) => file.startsWith(prefix) && file !== name);
      // Renamed when it is whole: others may be reading.
      const unfinished = join(this.#folder, `${name}.${process.pid}`);
      writeFileSync(unfinished, JSON.stringify(compiled));
      renameSync(unfinished, join(this.#folder, name));
      for (const file of old) rmSync(join(this.#folder, file), { force: true });
    } catch {
      // Read-only, or full: the next one compiles again.
    }
  }
}

let tools: string | undefined;

/** Code outside of this folder that has a part in compiling. */
const USED = ["kernel-module", "specialise", "unroll", "user-code"].map((name) => `../dispatch/${name}.ts`);

function toolHash(): string {
  if (tools) return tools;
  const own = readdirSync(HERE).filter((file) => /(?<!\.test)\.ts$/.test(file));
  const hash = createHash("sha256");
  for (const file of [...own.sort(), ...USED, "../../package-lock.json"])
    hash.update(file).update(readFileSync(join(HERE, file)));
  tools = hash.digest("hex");
  return tools;
}
