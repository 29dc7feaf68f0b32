import { AttentionError } from "webgpu-attention";
import { show } from "../show.js";

/** Sizes beyond this come from damaged files; no model is near it. */
const LARGEST_SIZE = 2 ** 26;
const MOST_LAYERS = 2048;
const MOST_HEADS = 2 ** 16;
/** Of an image. */
const MOST_CHANNELS = 4096;

/** The values of a configuration by name, read with their types checked. An absent value and null are the same, but for `isNull`. */
export class Fields {
  /** Names the file in messages. */
  readonly file: string;
  readonly #values: Readonly<Record<string, unknown>>;
  /** Where names are looked for that are not among the values. */
  readonly #others: Fields | undefined;

  /** @throws AttentionError "format" when `values` is no object */
  constructor(file: string, values: unknown, others?: Fields) {
    this.file = file;
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw formatError(file, "a JSON object", values);
    }
    this.#values = values as Record<string, unknown>;
    this.#others = others;
  }

  /** These fields with others in their place. */
  with(values: object): Fields {
    // Not a copy: layers have fields of their own, and files may have any number of both.
    return new Fields(this.file, values, this);
  }

  raw(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? (this.#values[name] ?? undefined) : this.#others?.raw(name);
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  /** Whether the file says null, where that means another thing than to say nothing. */
  isNull(name: string): boolean {
    if (Object.hasOwn(this.#values, name)) return this.#values[name] === null;
    return this.#others?.isNull(name) ?? false;
  }

  /** A whole number from 1 (or `least`) on. */
  size(name: string, fallback?: number, least = 1, most = LARGEST_SIZE): number {
    const expected = `a whole number from ${least} to ${most}`;
    const value = this.#typed(name, expected, fallback);
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
      return value as number;
    }
    throw this.wrong(name, expected);
  }

  // Of these, lists are made before any tensor is looked for.

  layers(name: string): number {
    return this.size(name, undefined, 1, MOST_LAYERS);
  }

  heads(name: string, fallback?: number): number {
    return this.size(name, fallback, 1, MOST_HEADS);
  }

  channels(name: string, fallback: number): number {
    return this.size(name, fallback, 1, MOST_CHANNELS);
  }

  number(name: string, fallback?: number): number {
    const value = this.#typed(name, "a number", fallback);
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw this.wrong(name, "a number");
  }

  positive(name: string, fallback?: number): number {
    const value = this.number(name, fallback);
    if (value > 0) return value;
    throw this.wrong(name, "a number above 0");
  }

  boolean(name: string, fallback?: boolean): boolean {
    const value = this.#typed(name, "true or false", fallback);
    if (typeof value === "boolean") return value;
    throw this.wrong(name, "true or false");
  }

  string(name: string, fallback?: string): string {
    const value = this.#typed(name, "a string", fallback);
    if (typeof value === "string") return value;
    throw this.wrong(name, "a string");
  }

  /** One of a few words. */
  choice<T extends string>(name: string, choices: readonly T[], fallback?: T): T {
    const value = this.#typed(name, choices.map((choice) => `"${choice}"`).join(", "), fallback);
    if (choices.includes(value as T)) return value as T;
    throw this.unsupported(name, choices.map((choice) => `"${choice}"`).join(" or "));
  }

  numbers(name: string, count: number, fallback?: readonly number[]): readonly number[] {
    const value = this.#typed(name, `${count} numbers`, fallback);
    if (Array.isArray(value) && value.length === count && value.every(Number.isFinite)) return value;
    throw this.wrong(name, `${count} numbers`);
  }

  list(name: string): readonly unknown[] {
    const value = this.#typed(name, "a list");
    if (Array.isArray(value)) return value;
    throw this.wrong(name, "a list");
  }

  /** The fields of an object within this one; undefined where there is none. */
  object(name: string): Fields | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : new Fields(`${this.file} ${name}`, value);
  }

  /** A token id, or a list of such, or none. */
  ids(name: string): readonly number[] {
    const value = this.raw(name);
    const ids = value === undefined ? [] : Array.isArray(value) ? value : [value];
    if (ids.every((id) => Number.isSafeInteger(id) && id >= -1)) return ids.filter((id) => id >= 0);
    throw this.wrong(name, "token ids");
  }

  /** Refuses what would change a model's results and is not implemented. */
  refuse(name: string, harmless: readonly unknown[]): void {
    const value = this.raw(name);
    if (value === undefined || harmless.includes(value)) return;
    throw this.unsupported(name, ["none", ...harmless.map((one) => JSON.stringify(one))].join(" or "));
  }

  wrong(name: string, expected: string): AttentionError {
    return formatError(`${this.file} ${name}`, expected, this.raw(name));
  }

  unsupported(name: string, expected: string): AttentionError {
    return new AttentionError("unsupported", {
      subject: `${this.file} ${name}`,
      expected,
      got: show(this.raw(name)),
      fix: "This package has no such model; docs/models.md lists what it has.",
    });
  }

  #typed(name: string, expected: string, fallback?: unknown): unknown {
    const value = this.raw(name) ?? fallback;
    if (value === undefined) throw this.wrong(name, expected);
    return value;
  }
}

function formatError(subject: string, expected: string, value: unknown): AttentionError {
  return new AttentionError("format", {
    subject,
    expected,
    got: show(value),
    fix: "The file is damaged or of a kind that this package does not know; docs/models.md has those it does.",
  });
}
