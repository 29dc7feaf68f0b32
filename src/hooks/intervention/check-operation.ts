import { checkFinite, checkKnown, checkWithin, fail } from "../check.js";
import type { HeadOperation, RowSet } from "../operations.js";

const NAMES: Readonly<Record<HeadOperation["kind"], readonly string[]>> = {
  scale: ["kind", "logits"],
  bias: ["kind", "keys", "rows"],
  mix: ["kind", "target", "u", "path"],
  gain: ["kind", "output"],
  shift: ["kind", "sinks", "keep", "recipients", "protect", "gate", "rows"],
};
const TARGETS = ["identity", "uniform", "meanQuery", "argmax", "zero"];
const PATHS = ["linear", "fisherRao", "slerp", "logLinear"];

/**
 * Checks an operation by itself, whether it will change anything or not: what is left to its own passes is what a shift says of
 * keys that a problem may not have.
 *
 * @throws AttentionError "shape" or "unsupported"
 */
export function checkOperation(subject: string, operation: HeadOperation): void {
  const kind = operation?.kind;
  if (!Object.hasOwn(NAMES, String(kind)))
    fail("unsupported", subject, "mix, gain, shift, scale or bias", kind, "See HeadOperation.");
  checkKnown(subject, operation, NAMES[kind]);
  switch (operation.kind) {
    case "scale":
      checkF32(`${subject} logits`, operation.logits);
      break;
    case "bias":
      checkKeys(`${subject} keys`, operation.keys);
      checkRows(`${subject} rows`, operation.rows);
      break;
    case "gain":
      checkF32(`${subject} output`, operation.output);
      break;
    case "shift":
      checkWithin(`${subject} keep`, operation.keep, 0, 1);
      for (const name of ["sinks", "recipients"] as const)
        if (operation[name] === undefined || operation[name] === null || typeof operation[name] === "number")
          fail(
            "shape",
            `${subject} ${name}`,
            "a rule or a set of keys",
            operation[name],
            "See ShiftOperation.",
          );
      break;
    case "mix": {
      const { target, path = "linear", u } = operation;
      checkWithin(`${subject} u`, u, 0, 1);
      checkOneOf(`${subject} target`, target, TARGETS);
      checkOneOf(`${subject} path`, path, path !== "linear" && target !== "identity" ? ["linear"] : PATHS);
    }
  }
}

/** Whether an operation leaves every pattern as it is, whatever this is. Biases of zeros are found where their keys are read. */
export function changesNothing(operation: HeadOperation): boolean {
  switch (operation.kind) {
    case "mix":
      return operation.u === 0;
    case "gain":
      return operation.output === 1;
    case "shift":
      return operation.keep === 1;
    default:
      return operation.kind === "scale" && operation.logits === 1;
  }
}

/** Kernels count in f32: what is finite there. */
export function checkF32(subject: string, value: unknown): void {
  checkWithin(subject, value, Number.NEGATIVE_INFINITY);
  if (!Number.isFinite(Math.fround(value as number)))
    fail("shape", subject, "a number that f32 can hold", value, "Correct the number.");
}

function checkKeys(subject: string, keys: ArrayLike<number>): void {
  if (typeof keys !== "object" || keys === null || !Number.isSafeInteger(keys.length))
    fail("shape", subject, "an array of numbers, one for each key", keys, "Pad with 0.");
  checkFinite(subject, keys);
  for (let n = 0; n < keys.length; n++) checkF32(`${subject}[${n}]`, keys[n]);
}

function checkRows(subject: string, rows: RowSet): void {
  const isFrom = typeof rows === "object" && rows !== null && Number.isSafeInteger(rows.from);
  if (rows === "all" || rows === "last") return;
  if (!isFrom) fail("shape", subject, '"all", "last" or { from: position }', rows, "See RowSet.");
  checkKnown(subject, rows, ["from"]);
}

function checkOneOf(subject: string, value: string, names: readonly string[]): void {
  if (names.includes(value)) return;
  fail("unsupported", subject, names.join(", "), value, "Choose one of them.");
}
