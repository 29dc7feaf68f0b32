import { BufferUsage } from "./buffer-usage.js";
import { AttentionError, type AttentionErrorCode } from "./errors.js";

/** Throws an `AttentionError`; the parts in the order in which its message says them. */
export function fail(
  code: AttentionErrorCode,
  subject: string,
  expected: string,
  got: unknown,
  fix: string,
): never {
  throw new AttentionError(code, {
    subject,
    expected,
    got: typeof got === "string" ? got : String(got),
    fix,
  });
}

export function expectEqual(subject: string, got: number, expected: number, meaning: string): void {
  if (got !== expected)
    fail("shape", subject, `${expected} (${meaning})`, got, "Shapes are [batch, tokens, heads, dim].");
}

export function checkBoolean(name: string, value: unknown): void {
  if (typeof value !== "boolean")
    fail("shape", name, "true or false", value, "Leave it out for the default.");
}

/** A finite number, above `above` if given. */
export function checkNumber(name: string, value: unknown, above = Number.NEGATIVE_INFINITY): void {
  if (typeof value === "number" && Number.isFinite(value) && value > above) return;
  const wanted = above === Number.NEGATIVE_INFINITY ? "a finite number" : `a finite number above ${above}`;
  fail("shape", name, wanted, value, "Leave it out for the default.");
}

export function checkLength(name: string, values: ArrayLike<unknown>, length: number, meaning: string): void {
  if (typeof values === "object" && values !== null && values.length === length) return;
  fail(
    "shape",
    name,
    `${length} values, ${meaning}`,
    String(values?.length ?? values),
    "Give one value for each.",
  );
}

/** @throws AttentionError "unsupported" for a buffer that was not created for this use */
export function checkUsage(subject: string, buffer: GPUBuffer, use: "STORAGE" | "COPY_SRC"): void {
  if (buffer.usage & BufferUsage[use]) return;
  fail(
    "unsupported",
    subject,
    `GPUBufferUsage.${use} (${BufferUsage[use]})`,
    `usage ${buffer.usage}`,
    `Create the buffer with GPUBufferUsage.${use} added to its usage.`,
  );
}

export function isBuffer(value: unknown): value is GPUBuffer {
  return typeof (value as GPUBuffer | null)?.usage === "number";
}
