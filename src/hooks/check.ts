import { AttentionError, type AttentionErrorCode } from "webgpu-attention";

/** Throws an `AttentionError`; the parts in the order in which its message says them. */
export function fail(
  code: AttentionErrorCode,
  subject: string,
  expected: string,
  got: unknown,
  fix: string,
): never {
  throw new AttentionError(code, { subject, expected, got: String(got), fix });
}

/** Refuses options by names that nobody knows: a misspelt one must not be ignored. */
export function checkKnown(subject: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null)
    fail("shape", `${subject} options`, "an object", options, `It may hold ${known.join(", ")}.`);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const fix = "Check the spelling, or leave the option out.";
    fail("unsupported", `${subject} option "${name}"`, `one of ${known.join(", ")}`, `"${name}"`, fix);
  }
}

export function checkInteger(subject: string, value: unknown, least: number): asserts value is number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  fail("shape", subject, `an integer of at least ${least}`, value, "Correct the number.");
}

/** A finite number, both bounds included. */
export function checkWithin(
  subject: string,
  value: unknown,
  least: number,
  most = Number.POSITIVE_INFINITY,
): void {
  if (typeof value === "number" && Number.isFinite(value) && value >= least && value <= most) return;
  const upper = most === Number.POSITIVE_INFINITY ? "" : ` and at most ${most}`;
  const lower = least === Number.NEGATIVE_INFINITY ? "a finite number" : `a number of at least ${least}`;
  fail("shape", subject, lower + upper, value, "Correct the number.");
}

export function checkLength(
  subject: string,
  values: ArrayLike<unknown>,
  length: number,
  meaning: string,
): void {
  if (values?.length === length) return;
  fail("shape", subject, `${length} values, ${meaning}`, values?.length, "Give one value for each.");
}

/** Any array-like of finite numbers. */
export function checkFinite(subject: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    fail("shape", `${subject}[${i}]`, "a finite number", values[i], "Look for what made it so.");
  }
}

/** Between steps of something that takes long. */
export function checkSignal(subject: string, signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new AttentionError("aborted", {
    subject,
    expected: "to run to the end",
    got: `the caller's signal (${String(signal.reason?.message ?? signal.reason)})`,
    fix: "Start again, from the last state that was reported if there is one.",
    cause: signal.reason,
  });
}
