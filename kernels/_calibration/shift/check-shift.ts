// Checks of shifts as data, before any GPU call.
import { checkNumber, fail } from "../../../src/dispatch/check.js";
import { checkOptions } from "../../../src/dispatch/validate.js";
import type { KeySet, KeyShift, ShiftGate, ShiftRows, SinkRule } from "./types.js";

/** @throws AttentionError "shape" or "unsupported" for a shift that cannot be one */
export function checkShift(name: string, shift: KeyShift): void {
  // Operations of `webgpu-attention/hooks` say what kind they are.
  checkOptions(name, shift, ["kind", "sinks", "keep", "recipients", "protect", "gate", "rows"]);
  checkShare(`${name}.keep`, shift.keep);
  if (shift.recipients !== "nonsinks") checkKeySet(`${name}.recipients`, shift.recipients);
  if (shift.protect) checkKeys(`${name}.protect`, shift.protect);
  checkRule(`${name}.sinks`, shift.sinks);
  if (shift.rows !== undefined) checkRows(`${name}.rows`, shift.rows);
  if (shift.gate) checkGate(`${name}.gate`, shift.gate);
}

function checkRule(name: string, rule: SinkRule): void {
  if (typeof rule !== "object" || rule === null)
    fail("shape", name, "{ received, ... }, { hidden } or { keys }", rule, "Say how sinks are found.");
  if ("keys" in rule) {
    checkOptions(name, rule, ["keys"]);
    checkKeys(`${name}.keys`, rule.keys);
  } else if ("hidden" in rule) {
    checkOptions(name, rule, ["hidden"]);
    checkOptions(`${name}.hidden`, rule.hidden, ["dims", "tau"]);
    checkKeys(`${name}.hidden.dims`, rule.hidden.dims);
    if (rule.hidden.dims.length === 0)
      fail("shape", `${name}.hidden.dims`, "at least one channel", "none", "See SINK_DIMENSIONS of hooks.");
    checkAtLeast(`${name}.hidden.tau`, rule.hidden.tau, 0);
  } else {
    const threshold = rule.received === "abs" ? "theta" : "alpha";
    if (rule.received !== "abs" && rule.received !== "perKeys")
      fail(
        "unsupported",
        `${name}.received`,
        '"abs" or "perKeys"',
        (rule as SinkRule & { received: unknown }).received,
        "Choose one of them.",
      );
    checkOptions(name, rule, ["received", threshold, "update"]);
    checkAtLeast(`${name}.${threshold}`, rule.received === "abs" ? rule.theta : rule.alpha, 0);
    if (rule.update !== undefined && rule.update !== "prefill" && rule.update !== "running")
      fail(
        "unsupported",
        `${name}.update`,
        '"prefill" or "running"',
        rule.update,
        "Leave it out for prefill.",
      );
  }
}

function checkGate(name: string, gate: ShiftGate): void {
  checkOptions(name, gate, ["mass", "ratio", "portion"]);
  if (gate.mass) {
    checkKeySet(`${name}.mass[0]`, gate.mass[0]);
    checkNumber(`${name}.mass[1]`, gate.mass[1]);
  }
  if (gate.ratio) {
    checkKeySet(`${name}.ratio[0]`, gate.ratio[0]);
    checkKeySet(`${name}.ratio[1]`, gate.ratio[1]);
    checkNumber(`${name}.ratio[2]`, gate.ratio[2]);
  }
  if (gate.portion) {
    checkKeySet(`${name}.portion[0]`, gate.portion[0]);
    checkNumber(`${name}.portion[1]`, gate.portion[1]);
  }
}

function checkRows(name: string, rows: ShiftRows): void {
  if (rows === "all" || rows === "last") return;
  if (
    typeof rows === "object" &&
    rows !== null &&
    Number.isSafeInteger(rows.from) &&
    Math.abs(rows.from) < 2 ** 30
  )
    return;
  const got = typeof rows === "object" ? JSON.stringify(rows) : rows;
  fail("shape", name, '"all", "last" or { from } with a position', got, "Leave it out for all rows.");
}

export function checkKeySet(name: string, set: KeySet): void {
  if (typeof set !== "object" || set === null)
    fail("shape", name, "{ range: [begin, end] } or { keys }", set, "Count keys from 0.");
  if ("keys" in set) {
    checkKeys(`${name}.keys`, set.keys);
    return;
  }
  const { range } = set;
  if (Array.isArray(range) && range.length === 2 && range.every(Number.isSafeInteger)) return;
  fail("shape", `${name}.range`, "[begin, end) of keys", `[${range}]`, "Count keys from 0.");
}

function checkKeys(name: string, keys: readonly number[]): void {
  if (!Array.isArray(keys)) fail("shape", name, "a list of indices", keys, "Count from 0.");
  for (const [index, key] of keys.entries()) {
    if (Number.isSafeInteger(key) && key >= 0) continue;
    fail("shape", `${name}[${index}]`, "an integer of at least 0", key, "Count from 0.");
  }
}

function checkShare(name: string, value: number): void {
  if (typeof value === "number" && value >= 0 && value <= 1) return;
  fail("shape", name, "a number from 0 to 1", value, "1 changes nothing, 0 takes all.");
}

function checkAtLeast(name: string, value: number, least: number): void {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return;
  fail("shape", name, `a number of at least ${least}`, value, "Correct the number.");
}
