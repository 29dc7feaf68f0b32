import { checkProfile, type TuningProfile } from "./profile.js";

/** Where measured choices are kept between visits. Write one for a database of your own, or take one of those below. */
export interface TuningStore {
  /** The profile of a device, or undefined where there is none. */
  load(device: string): Promise<TuningProfile | undefined>;
  save(profile: TuningProfile): Promise<void>;
}

/** Keeps profiles as long as the page or process lives. */
export function memoryTuningStore(): TuningStore {
  const profiles = new Map<string, TuningProfile>();
  return {
    async load(device) {
      return profiles.get(device);
    },
    async save(profile) {
      profiles.set(profile.device, profile);
    },
  };
}

/** Keeps profiles in the browser's IndexedDB, for this origin. */
export function indexedDbTuningStore(database = "webgpu-attention"): TuningStore {
  const open = async () => {
    const { createStore, get, set } = await import("idb-keyval");
    return { store: createStore(database, "tuning"), get, set };
  };
  return {
    async load(device) {
      const { get, store } = await open();
      const found: unknown = await get(device, store);
      return found === undefined ? undefined : checkProfile(found);
    },
    async save(profile) {
      const { set, store } = await open();
      await set(profile.device, profile, store);
    },
  };
}

/**
 * Keeps the profiles of all devices in one JSON file (Node, Deno). Written whole under another name, then renamed, so that a
 * process that ends in between leaves the old file.
 *
 * @param path default `webgpu-attention/tuning.json` in the user's folder for caches
 */
export function fileTuningStore(path?: string): TuningStore {
  const node = nodeModules();
  if (!node) throw new Error("fileTuningStore needs Node or Deno; in a browser use indexedDbTuningStore()");
  const { fs, path: paths } = node;
  const file = path ?? paths.join(node.cacheFolder(), "webgpu-attention", "tuning.json");
  // Saves of one process wait for each other; those of others are met by reading again before each.
  let last: Promise<void> = Promise.resolve();
  const readAll = async (): Promise<Record<string, unknown>> => {
    try {
      const parsed: unknown = JSON.parse(await fs.readFile(file, "utf8"));
      return typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
    } catch (error) {
      const { code } = error as { code?: string };
      // A file that is no JSON was cut off: what it held can be measured again.
      if (code === "ENOENT" || error instanceof SyntaxError) return {};
      throw error;
    }
  };
  const write = async (profile: TuningProfile) => {
    const all = { ...(await readAll()), [profile.device]: profile };
    await fs.mkdir(paths.dirname(file), { recursive: true });
    const draft = `${file}.${node.processId}.tmp`;
    await fs.writeFile(draft, `${JSON.stringify(all, null, 2)}\n`);
    await fs.rename(draft, file);
  };
  return {
    async load(device) {
      const all = await readAll();
      return Object.hasOwn(all, device) ? checkProfile(all[device]) : undefined;
    },
    save(profile) {
      last = last.catch(() => {}).then(() => write(profile));
      return last;
    },
  };
}

/** IndexedDB in a browser, a file in Node and Deno, else memory. */
export function defaultTuningStore(): TuningStore {
  if (typeof indexedDB !== "undefined") return indexedDbTuningStore();
  return nodeModules() ? fileTuningStore() : memoryTuningStore();
}

/** What is used of Node's modules: the package is compiled without Node's types, as browsers have none. */
interface NodeProcess {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly platform: string;
  getBuiltinModule?(name: "node:fs/promises"): NodeFiles | undefined;
  getBuiltinModule?(name: "node:path"): NodePaths | undefined;
  getBuiltinModule?(name: "node:os"): { homedir(): string } | undefined;
}

interface NodeFiles {
  readFile(path: string, encoding: "utf8"): Promise<string>;
  writeFile(path: string, text: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
}

interface NodePaths {
  join(...parts: string[]): string;
  dirname(path: string): string;
}

/** Node's modules without an import, which bundlers for browsers would stumble over. */
function nodeModules() {
  const { process } = globalThis as { process?: NodeProcess };
  const fs = process?.getBuiltinModule?.("node:fs/promises");
  const os = process?.getBuiltinModule?.("node:os");
  const path = process?.getBuiltinModule?.("node:path");
  if (!process || !fs || !os || !path) return undefined;
  return {
    fs,
    path,
    processId: process.pid,
    cacheFolder(): string {
      const { env, platform } = process;
      if (platform === "win32" && env.LOCALAPPDATA) return env.LOCALAPPDATA;
      if (platform === "darwin") return path.join(os.homedir(), "Library", "Caches");
      return env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache");
    },
  };
}
