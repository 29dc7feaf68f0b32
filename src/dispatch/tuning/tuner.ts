import type { Capabilities } from "../capabilities.js";
import { deviceKey } from "./device-key.js";
import {
  checkProfile,
  emptyProfile,
  mergeProfiles,
  type TuningEntry,
  type TuningProfile,
} from "./profile.js";
import type { TuningStore } from "./store.js";

/** A class of problems of one mechanism, as far as the best configuration depends on them. */
export interface TuningClass {
  readonly mechanism: string;
  /** Hash of the mechanism's kernels. */
  readonly kernels: string;
  /** The class in words, `"prefill D64 Dv64 f32 ..."`. */
  readonly problem: string;
}

/**
 * What a context knows of its device from measuring: choices by class of problems, kept in a store.
 *
 * A store that fails (a full disk, a private window) costs the memory of choices, never a plan; `storeError` has what it said.
 */
export class Tuner {
  /** Whether plans measure what they do not know. Otherwise they take the table's choice. */
  readonly measures: boolean;
  /** The device that choices hold for. */
  readonly device: string;
  readonly #store: TuningStore | undefined;
  readonly #flight = new Map<string, Promise<unknown>>();
  #profile: TuningProfile;
  #lastTurn: Promise<unknown> = Promise.resolve();
  #loaded: Promise<void> | undefined;
  #storeError: unknown;

  /** @internal */
  constructor(capabilities: Capabilities, measures: boolean, store?: TuningStore) {
    this.device = deviceKey(capabilities);
    this.measures = measures;
    this.#store = store;
    this.#profile = emptyProfile(this.device);
  }

  /** Why the store did not load or save, where it did not. */
  get storeError(): unknown {
    return this.#storeError;
  }

  /** All that is known of this device, stored choices included. Plain JSON. */
  async exportProfile(): Promise<TuningProfile> {
    await this.#load();
    return this.#profile;
  }

  /**
   * Takes over the choices of a profile, for this context and its store; plans use them without measuring, whatever the mode.
   * What the profile says of other kernels than this build's is kept but never used.
   *
   * @param options.anyDevice take a profile of another device too: for shipping one to users whose devices are alike
   * @returns how many choices were taken over: none where the profile is for another device
   * @throws AttentionError "format" for anything but a profile
   */
  async importProfile(
    profile: TuningProfile,
    options: { readonly anyDevice?: boolean } = {},
  ): Promise<number> {
    const checked = checkProfile(profile);
    await this.#load();
    if (checked.device !== this.device && !options.anyDevice) return 0;
    this.#profile = mergeProfiles(this.#profile, { ...checked, device: this.device });
    await this.#save();
    return Object.keys(checked.entries).length;
  }

  /** @internal The stored choice for a class, by these kernels. */
  async find(wanted: TuningClass): Promise<TuningEntry | undefined> {
    await this.#load();
    return this.#known(wanted);
  }

  /** @internal Runs `measure` for a class, unless it runs already: then both callers get its result. */
  shared<Result>(wanted: TuningClass, measure: () => Promise<Result>): Promise<Result> {
    const key = keyOf(wanted);
    const flying = this.#flight.get(key) as Promise<Result> | undefined;
    if (flying) return flying;
    const flight = this.alone(measure).finally(() => this.#flight.delete(key));
    this.#flight.set(key, flight);
    return flight;
  }

  /** @internal Runs `measure` when no other measurement runs: two at once would time each other. */
  alone<Result>(measure: () => Promise<Result>): Promise<Result> {
    const turn = this.#lastTurn.then(measure);
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }

  /** @internal */
  async put(wanted: TuningClass, entry: TuningEntry): Promise<void> {
    await this.#load();
    const entries = { [keyOf(wanted)]: entry };
    this.#profile = mergeProfiles(this.#profile, { ...emptyProfile(this.device), entries });
    await this.#save();
  }

  #known(wanted: TuningClass): TuningEntry | undefined {
    const entry = this.#profile.entries[keyOf(wanted)];
    return entry?.mechanism === wanted.mechanism && entry.kernels === wanted.kernels ? entry : undefined;
  }

  #load(): Promise<void> {
    this.#loaded ??= this.#attempt(async () => {
      const stored = await this.#store?.load(this.device);
      if (stored) this.#profile = mergeProfiles(stored, this.#profile);
    });
    return this.#loaded;
  }

  /** Another tab or process may have stored choices meanwhile: its and ours are joined. */
  #save(): Promise<void> {
    return this.#attempt(async () => {
      if (!this.#store) return;
      const stored = await this.#store.load(this.device).catch(() => undefined);
      if (stored) this.#profile = mergeProfiles(stored, this.#profile);
      await this.#store.save(this.#profile);
    });
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#storeError = error;
    }
  }
}

/** With the kernels in it, so that two builds of an application do not overwrite each other's choices. */
function keyOf({ mechanism, kernels, problem }: TuningClass): string {
  return `${mechanism} ${kernels}: ${problem}`;
}
