import { AttentionError } from "../errors.js";

/** What was found fastest for one class of problems on one device, by the kernels of one build. */
export interface TuningEntry {
  /** `"softmax"` */
  readonly mechanism: string;
  /** Hash of the mechanism's kernels: with other kernels the entry means nothing. */
  readonly kernels: string;
  /** The mechanism's own configuration, plain data. */
  readonly configuration: unknown;
  /** Operations a second that it reached on the proxy that was timed; none where another device's choice was taken over. */
  readonly flopsPerSecond?: number;
  /** How many candidates were timed, the chosen one among them. */
  readonly candidates: number;
}

/** All that is known of one device. Plain JSON: to keep, to ship with an application, to send to somebody. */
export interface TuningProfile {
  readonly format: "webgpu-attention-tuning";
  readonly version: 1;
  /** Adapter, driver, features and limits that the entries hold for; see `deviceKey`. */
  readonly device: string;
  /** By class of problems, in the mechanism's words. */
  readonly entries: Readonly<Record<string, TuningEntry>>;
}

export function emptyProfile(device: string): TuningProfile {
  return { format: "webgpu-attention-tuning", version: 1, device, entries: {} };
}

/**
 * Checks what came from a file or a network, and copies it.
 *
 * @throws AttentionError "format"
 */
export function checkProfile(value: unknown): TuningProfile {
  const profile = checkedFrame(value);
  for (const [key, entry] of Object.entries(profile.entries)) {
    if (!isEntry(entry))
      fail(
        `tuning profile entry "${key}"`,
        "mechanism, kernels, configuration, flopsPerSecond above 0 if any, candidates",
        describe(entry),
      );
  }
  return profile as TuningProfile;
}

/**
 * Checks what a store gave for a device, and copies it. A bad entry is left out: the others can still be used.
 *
 * @throws AttentionError "format" for anything but a profile of this device
 */
export function storedProfile(value: unknown, device: string): TuningProfile {
  const profile = checkedFrame(value);
  if (profile.device !== device)
    fail("stored tuning profile device", describe(device), describe(profile.device));
  return { ...profile, entries: Object.fromEntries(Object.entries(profile.entries).filter(isPair)) };
}

/**
 * Two profiles of one device. Where both know a class, `newer` wins, except that a choice taken over from another device never
 * replaces one that was measured.
 */
export function mergeProfiles(older: TuningProfile, newer: TuningProfile): TuningProfile {
  const entries = new Map(Object.entries(older.entries));
  for (const [key, entry] of Object.entries(newer.entries)) {
    if (isMeasured(entry) || !isMeasured(entries.get(key))) entries.set(key, entry);
  }
  return { ...newer, entries: Object.fromEntries(entries) };
}

/** What to store for a device where `found` is stored already; something that is no profile of it is replaced. */
export function joinedProfile(found: unknown, profile: TuningProfile): TuningProfile {
  if (found === undefined) return profile;
  try {
    return mergeProfiles(storedProfile(found, profile.device), profile);
  } catch {
    return profile;
  }
}

/** The same choices without their rates, for a device that they were not measured on: its dispatches must not be bounded by them. */
export function foreignProfile(profile: TuningProfile, device: string): TuningProfile {
  const entries = Object.entries(profile.entries).map(([key, { flopsPerSecond: _, ...entry }]) => [
    key,
    entry,
  ]);
  return { ...profile, device, entries: Object.fromEntries(entries) };
}

export function isMeasured(entry: TuningEntry | undefined): boolean {
  return entry?.flopsPerSecond !== undefined;
}

type Frame = Omit<TuningProfile, "entries"> & { readonly entries: Readonly<Record<string, unknown>> };

/** The profile around its entries, as plain JSON: no getters, no cycles, nothing that changes later. */
function checkedFrame(value: unknown): Frame {
  const profile = plainCopy(value) as Partial<TuningProfile> | null | undefined;
  if (typeof profile !== "object" || profile === null || profile.format !== "webgpu-attention-tuning")
    fail("tuning profile", '{ format: "webgpu-attention-tuning", ... }', describe(profile));
  const { version, device, entries } = profile;
  if (version !== 1) fail("tuning profile version", "1", describe(version));
  if (typeof device !== "string") fail("tuning profile device", "a string", describe(device));
  if (typeof entries !== "object" || entries === null || Array.isArray(entries))
    fail("tuning profile entries", "an object", describe(entries));
  return { format: profile.format, version, device, entries };
}

function isEntry(value: unknown): value is TuningEntry {
  if (typeof value !== "object" || value === null) return false;
  const { mechanism, kernels, configuration, flopsPerSecond, candidates } = value as Partial<TuningEntry>;
  return (
    typeof mechanism === "string" &&
    typeof kernels === "string" &&
    typeof configuration === "object" &&
    configuration !== null &&
    (flopsPerSecond === undefined || (Number.isFinite(flopsPerSecond) && flopsPerSecond > 0)) &&
    Number.isInteger(candidates)
  );
}

function isPair(pair: [string, unknown]): pair is [string, TuningEntry] {
  return isEntry(pair[1]);
}

function plainCopy(value: unknown): unknown {
  try {
    const text = JSON.stringify(value);
    return text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    return fail(
      "tuning profile",
      "plain JSON",
      `what is none (${error instanceof Error ? error.message : "it throws"})`,
    );
  }
}

/** @param value plain JSON */
function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

function fail(subject: string, expected: string, got: string): never {
  throw new AttentionError("format", {
    subject,
    expected,
    got,
    fix: "Export the profile again with ctx.tuning.exportProfile().",
  });
}
