import { checkNumber, fail } from "../../../src/dispatch/check.js";
import { checkOptions } from "../../../src/dispatch/validate.js";
import type { SoftmaxShape } from "../../softmax/problem.js";
import type { KeySet } from "../shift/types.js";
import { FLAGS, REQUEST_NAMES, type StatisticsRequest } from "./options.js";

const MOST_SETS = 32;
const MOST_TOP = 256;
/** Keys are written as f32. */
const MOST_KEYS = 2 ** 24;

/** @throws AttentionError "shape", "unsupported" or "limit" for a request that makes no sense; without what it does not ask for */
export function checkedRequest(
  request: StatisticsRequest,
  { tokensQ, tokensK }: Pick<SoftmaxShape, "tokensQ" | "tokensK">,
): StatisticsRequest {
  checkOptions("statistics", request, REQUEST_NAMES);
  for (const name of FLAGS) {
    const value = request[name];
    if (value !== undefined && typeof value !== "boolean")
      fail("shape", `statistics.${name}`, "true or false", value, "Leave it out for false.");
  }
  const { futureInfluence, mass, windowedDistance, topKeys, diagonals, map } = request;
  if (futureInfluence !== undefined) checkFuture(futureInfluence);
  if (mass !== undefined) checkSets(mass);
  if (windowedDistance !== undefined) checkNumber("statistics.windowedDistance", windowedDistance, 0);
  if (topKeys !== undefined) checkInteger("statistics.topKeys", topKeys, 1, MOST_TOP);
  if ((topKeys !== undefined || request.argmax) && tokensK > MOST_KEYS)
    fail("limit", "statistics.topKeys", `at most ${MOST_KEYS} keys`, tokensK, "Keys are written as f32.");
  if (diagonals !== undefined) {
    if (!Array.isArray(diagonals) || diagonals.length === 0)
      fail(
        "shape",
        "statistics.diagonals",
        "whole numbers, 0 for the diagonal",
        diagonals,
        "Leave it out for none.",
      );
    for (const [index, n] of diagonals.entries())
      checkInteger(`statistics.diagonals[${index}]`, n, -(2 ** 30), 2 ** 30);
  }
  if (map !== undefined) {
    checkOptions("statistics.map", map, ["rows", "columns"]);
    checkInteger("statistics.map.rows", map.rows, 1, tokensQ);
    checkInteger("statistics.map.columns", map.columns, 1, tokensK);
    const most = Math.max(2 * map.rows * tokensQ, map.columns * tokensK);
    if (most >= 2 ** 32)
      fail("limit", "statistics.map", "cells times tokens below 2^32", most, "Ask for fewer cells.");
  }
  const asked = Object.entries(request).filter(([, value]) => value !== undefined && value !== false);
  if (asked.length === 0)
    fail("shape", "statistics", `one of ${REQUEST_NAMES.join(", ")}`, "none", "Ask for what you need.");
  return Object.fromEntries(asked) as StatisticsRequest;
}

function checkFuture(options: NonNullable<StatisticsRequest["futureInfluence"]>): void {
  checkOptions("statistics.futureInfluence", options, ["low", "high", "from"]);
  const { low, high, from } = options;
  checkInteger("statistics.futureInfluence.low", low, 0, 2 ** 30);
  checkInteger("statistics.futureInfluence.high", high, low, 2 ** 30);
  if (from !== undefined) checkInteger("statistics.futureInfluence.from", from, -(2 ** 30), 2 ** 30);
}

function checkSets(sets: readonly KeySet[]): void {
  if (!Array.isArray(sets) || sets.length === 0 || sets.length > MOST_SETS)
    fail(
      "shape",
      "statistics.mass",
      `from 1 to ${MOST_SETS} sets of keys`,
      sets?.length ?? sets,
      "Leave it out for none.",
    );
  sets.forEach((set: KeySet, index) => {
    const name = `statistics.mass[${index}]`;
    checkOptions(name, set, ["range", "keys"]);
    const numbers = "range" in set ? set.range : set.keys;
    const known = Array.isArray(numbers) && numbers.every((key) => Number.isInteger(key));
    if (known && (!("range" in set) || (numbers.length === 2 && !("keys" in set)))) return;
    fail(
      "shape",
      name,
      "{ range: [begin, end] } or { keys: [...] }, whole numbers",
      JSON.stringify(set),
      "Keys count from 0.",
    );
  });
}

function checkInteger(name: string, value: unknown, least: number, most: number): void {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
  fail(
    "shape",
    name,
    `a whole number from ${least} to ${most}`,
    value,
    "See the docstring for what it counts.",
  );
}
