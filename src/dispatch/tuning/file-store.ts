import { AttentionError } from "../errors.js";
import { joinedProfile, storedProfile, type TuningProfile } from "./profile.js";
import type { TuningStore } from "./store.js";

/** The last save to each file: those of one process wait for each other, whichever store they come from. */
const saves = new Map<string, Promise<void>>();

/**
 * Keeps the profiles of all devices in one JSON file (Node, Deno). Written whole under another name, then renamed, so that a
 * process that ends in between leaves the old file. What other stores have saved to it meanwhile is kept.
 *
 * Nothing is looked at before the first load or save: what the runtime does not permit then rejects.
 *
 * @param path default `webgpu-attention/tuning.json` in the user's folder for caches
 * @throws AttentionError "unsupported" where there is no file system
 */
export function fileTuningStore(path?: string): TuningStore {
  const node = nodeModules();
  if (!node) {
    throw new AttentionError("unsupported", {
      subject: "fileTuningStore",
      expected: "Node or Deno",
      got: "a runtime without a file system",
      fix: "In a browser use indexedDbTuningStore(), elsewhere memoryTuningStore().",
    });
  }
  const { fs, paths } = node;
  let file: string | undefined;
  const place = () => {
    file ??= paths.resolve(path ?? paths.join(cacheFolder(node), "webgpu-attention", "tuning.json"));
    return file;
  };
  const readAll = async (): Promise<Record<string, unknown>> => {
    try {
      const parsed: unknown = JSON.parse(await fs.readFile(place(), "utf8"));
      return typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
    } catch (error) {
      const { code } = error as { code?: string };
      // A file that is no JSON was cut off: what it held can be measured again.
      if (code === "ENOENT" || error instanceof SyntaxError) return {};
      throw error;
    }
  };
  const write = async (profile: TuningProfile): Promise<void> => {
    const all = await readAll();
    const found = Object.hasOwn(all, profile.device) ? all[profile.device] : undefined;
    const text = JSON.stringify({ ...all, [profile.device]: joinedProfile(found, profile) }, null, 2);
    await fs.mkdir(paths.dirname(place()), { recursive: true });
    const draft = `${place()}.${crypto.randomUUID()}.tmp`;
    try {
      await fs.writeFile(draft, `${text}\n`);
      await fs.rename(draft, place());
    } catch (error) {
      await fs.rm(draft, { force: true }).catch(() => {});
      throw error;
    }
  };
  return {
    async load(device) {
      const all = await readAll();
      return Object.hasOwn(all, device) ? storedProfile(all[device], device) : undefined;
    },
    async save(profile) {
      const before = saves.get(place()) ?? Promise.resolve();
      const save = before.catch(() => {}).then(() => write(profile));
      saves.set(place(), save);
      return save;
    },
  };
}

/** Whether `fileTuningStore` can be made here. */
export function hasFiles(): boolean {
  return nodeModules() !== undefined;
}

/** What is used of Node's modules: the package is compiled without Node's types, as browsers have none. */
interface NodeProcess {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  getBuiltinModule?(name: "node:fs/promises"): NodeFiles | undefined;
  getBuiltinModule?(name: "node:path"): NodePaths | undefined;
  getBuiltinModule?(name: "node:os"): { homedir(): string } | undefined;
}

interface NodeFiles {
  readFile(path: string, encoding: "utf8"): Promise<string>;
  writeFile(path: string, text: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: true }): Promise<void>;
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
}

interface NodePaths {
  join(...parts: string[]): string;
  resolve(path: string): string;
  dirname(path: string): string;
}

/** Node's modules without an import, which bundlers for browsers would stumble over. */
function nodeModules() {
  const { process } = globalThis as { process?: NodeProcess };
  const fs = process?.getBuiltinModule?.("node:fs/promises");
  const os = process?.getBuiltinModule?.("node:os");
  const paths = process?.getBuiltinModule?.("node:path");
  return process && fs && os && paths ? { process, fs, os, paths } : undefined;
}

/** Reads the environment, which Deno permits only where it was told to. */
function cacheFolder({ process, os, paths }: NonNullable<ReturnType<typeof nodeModules>>): string {
  const { env, platform } = process;
  if (platform === "win32" && env.LOCALAPPDATA) return env.LOCALAPPDATA;
  if (platform === "darwin") return paths.join(os.homedir(), "Library", "Caches");
  return env.XDG_CACHE_HOME || paths.join(os.homedir(), ".cache");
}
