import type { Capabilities } from "../capabilities.js";
import type { AttentionError } from "../errors.js";
import { throwIfAborted, untilAborted } from "./abort.js";
import { deviceKey } from "./device-key.js";
import { Flight, type TuningCaller } from "./flight.js";
import {
  checkProfile,
  emptyProfile,
  foreignProfile,
  isMeasured,
  mergeProfiles,
  storedProfile,
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
  readonly #flights = new Map<string, Flight<unknown>>();
  readonly #failures = new Map<string, AttentionError>();
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

  /** Why the store did not load or save when it was last tried; undefined where it did. */
  get storeError(): unknown {
    return this.#storeError;
  }

  /**
   * Classes of problems that could not be measured on this device, with why: not one candidate worked. Their plans take the
   * table's choice. Bugs of the driver or of ours, worth reporting.
   */
  get failures(): ReadonlyMap<string, AttentionError> {
    return this.#failures;
  }

  /** All that is known of this device, stored choices included. Plain JSON, a copy. */
  async exportProfile(): Promise<TuningProfile> {
    await this.#load();
    return checkProfile(this.#profile);
  }

  /**
   * Takes over the choices of a profile, for this context and its store; plans use them without measuring, whatever the mode.
   * What the profile says of other kernels than this build's is kept but never used.
   *
   * @param options.anyDevice take a profile of another device too: for shipping one to users whose devices are alike. Of it only
   *   the choices are taken, not how fast that device was, and none where this device has been measured itself
   * @returns how many choices were taken over: none where the profile is for another device
   * @throws AttentionError "format" for anything but a profile
   */
  async importProfile(
    profile: TuningProfile,
    options: { readonly anyDevice?: boolean } = {},
  ): Promise<number> {
    const checked = checkProfile(profile);
    await this.#load();
    const foreign = checked.device !== this.device;
    if (foreign && !options.anyDevice) return 0;
    const given = foreign ? foreignProfile(checked, this.device) : checked;
    const taken = Object.entries(given.entries).filter(
      ([key, entry]) => isMeasured(entry) || !isMeasured(this.#entry(key)),
    );
    this.#profile = mergeProfiles(this.#profile, given);
    await this.#save();
    return taken.length;
  }

  /** @internal The stored choice for a class, by these kernels. */
  async find(wanted: TuningClass): Promise<TuningEntry | undefined> {
    await this.#load();
    const entry = this.#entry(keyOf(wanted));
    return entry?.mechanism === wanted.mechanism && entry.kernels === wanted.kernels ? entry : undefined;
  }

  /**
   * @internal Runs `measure` for a class, unless it runs already: then all callers get its result, each with a signal and a
   * progress of its own.
   */
  shared<Result>(
    wanted: TuningClass,
    caller: TuningCaller,
    measure: (joint: TuningCaller) => Promise<Result>,
  ): Promise<Result> {
    const key = keyOf(wanted);
    const flying = this.#flights.get(key) as Flight<Result> | undefined;
    if (flying && !flying.abandoned) return flying.join(caller);
    const flight = new Flight((joint) => this.alone(() => measure(joint), joint.signal));
    this.#flights.set(key, flight);
    const landed = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    flight.ended.then(landed, landed);
    return flight.join(caller);
  }

  /**
   * @internal Runs `measure` when no other measurement runs: two at once would time each other. A signal that fires before its
   * turn rejects at once; from then on `measure` has to heed it.
   */
  async alone<Result>(measure: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const before = this.#lastTurn;
    const turn = before.then(() => {
      throwIfAborted(signal);
      return measure();
    });
    this.#lastTurn = turn.then(
      () => {},
      () => {},
    );
    await untilAborted(before, signal);
    return turn;
  }

  /** @internal Notes that a class cannot be measured, so that its next plan does not try again. */
  fail(wanted: TuningClass, error: AttentionError): void {
    this.#failures.set(keyOf(wanted), error);
  }

  /** @internal */
  failed(wanted: TuningClass): boolean {
    return this.#failures.has(keyOf(wanted));
  }

  /** @internal */
  async put(wanted: TuningClass, entry: TuningEntry): Promise<void> {
    await this.#load();
    this.#failures.delete(keyOf(wanted));
    const entries = { [keyOf(wanted)]: entry };
    this.#profile = mergeProfiles(this.#profile, { ...emptyProfile(this.device), entries });
    await this.#save();
  }

  #entry(key: string): TuningEntry | undefined {
    return Object.hasOwn(this.#profile.entries, key) ? this.#profile.entries[key] : undefined;
  }

  #load(): Promise<void> {
    this.#loaded ??= this.#attempt(() => this.#joinStored());
    return this.#loaded;
  }

  /** Another tab or process may have stored choices meanwhile: its and ours are joined. */
  #save(): Promise<void> {
    return this.#attempt(async () => {
      await this.#joinStored().catch(() => {});
      await this.#store?.save(this.#profile);
    });
  }

  /** A store may be the application's own: what it gives is checked, and copied, like anything from outside. */
  async #joinStored(): Promise<void> {
    const stored: unknown = await this.#store?.load(this.device);
    if (stored !== undefined && stored !== null)
      this.#profile = mergeProfiles(storedProfile(stored, this.device), this.#profile);
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#storeError = undefined;
    } catch (error) {
      this.#storeError = error;
    }
  }
}

/** With the kernels in it, so that two builds of an application do not overwrite each other's choices. */
function keyOf({ mechanism, kernels, problem }: TuningClass): string {
  return `${mechanism} ${kernels}: ${problem}`;
}
