import { AttentionError } from "../errors.js";

/** What was found fastest for one class of problems on one device, by the kernels of one build. */
export interface TuningEntry {
  /** `"softmax"` */
  readonly mechanism: string;
  /** Hash of the mechanism's kernels: with other kernels the entry means nothing. */
  readonly kernels: string;
  /** The mechanism's own configuration, plain data. */
  readonly configuration: unknown;
  /** Operations a second that it reached on the proxy that was timed. */
  readonly flopsPerSecond: number;
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
 * Checks what came from a file, a database or a network.
 *
 * @throws AttentionError "format"
 */
export function checkProfile(value: unknown): TuningProfile {
  const profile = value as TuningProfile | null | undefined;
  if (typeof profile !== "object" || profile === null || profile.format !== "webgpu-attention-tuning")
    fail("tuning profile", '{ format: "webgpu-attention-tuning", ... }', describe(value));
  if (profile.version !== 1) fail("tuning profile version", "1", describe(profile.version));
  if (typeof profile.device !== "string") fail("tuning profile device", "a string", describe(profile.device));
  if (typeof profile.entries !== "object" || profile.entries === null || Array.isArray(profile.entries))
    fail("tuning profile entries", "an object", describe(profile.entries));
  for (const [key, entry] of Object.entries(profile.entries)) {
    const right =
      typeof entry === "object" &&
      entry !== null &&
      typeof entry.mechanism === "string" &&
      typeof entry.kernels === "string" &&
      typeof entry.configuration === "object" &&
      entry.configuration !== null &&
      Number.isFinite(entry.flopsPerSecond) &&
      entry.flopsPerSecond > 0 &&
      Number.isInteger(entry.candidates);
    if (!right)
      fail(
        `tuning profile entry "${key}"`,
        "mechanism, kernels, configuration, flopsPerSecond, candidates",
        describe(entry),
      );
  }
  return profile;
}

/** Two profiles of one device; where both know a class, `newer` wins. */
export function mergeProfiles(older: TuningProfile, newer: TuningProfile): TuningProfile {
  return { ...newer, entries: { ...older.entries, ...newer.entries } };
}

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
