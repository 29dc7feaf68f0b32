import { fileTuningStore, hasFiles } from "./file-store.js";
import { joinedProfile, storedProfile, type TuningProfile } from "./profile.js";

export { fileTuningStore } from "./file-store.js";

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

/** Keeps profiles in the browser's IndexedDB, for this origin. What two tabs save is joined. */
export function indexedDbTuningStore(database = "webgpu-attention"): TuningStore {
  const connect = async () => {
    const { createStore, get, update } = await import("idb-keyval");
    return { store: createStore(database, "tuning"), get, update };
  };
  let connection: ReturnType<typeof connect> | undefined;
  const open = () => {
    // A part of the package that did not load is asked for again next time.
    connection ??= connect().catch((error: unknown) => {
      connection = undefined;
      throw error;
    });
    return connection;
  };
  return {
    async load(device) {
      const { get, store } = await open();
      const found: unknown = await get(device, store);
      return found === undefined ? undefined : storedProfile(found, device);
    },
    async save(profile) {
      const { update, store } = await open();
      await update<unknown>(profile.device, (found) => joinedProfile(found, profile), store);
    },
  };
}

/** IndexedDB in a browser, a file in Node and Deno, else memory. */
export function defaultTuningStore(): TuningStore {
  if (typeof indexedDB !== "undefined") return indexedDbTuningStore();
  return hasFiles() ? fileTuningStore() : memoryTuningStore();
}
