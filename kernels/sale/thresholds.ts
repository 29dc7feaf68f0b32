import { checkLength, fail, isBuffer } from "../../src/dispatch/check.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import { tableCopy } from "../../src/dispatch/per-batch.js";
import type { SaleOptions } from "./options.js";

/**
 * The plan's table of thresholds, [Hq] as f32 bits. Given numbers are checked and stored; a buffer is copied in at every
 * `record`.
 *
 * @throws AttentionError "shape" for a wrong length or value, "unsupported" for a buffer without COPY_SRC
 */
export function thresholdsTable(heads: number, thresholds: SaleOptions["thresholds"]): Table {
  const values = new Uint32Array(heads);
  if (isBuffer(thresholds)) return { values, copies: [tableCopy("thresholds", thresholds, 0, heads)] };
  const given = typeof thresholds === "number" ? Array<number>(heads).fill(thresholds) : thresholds;
  checkLength("thresholds", given, heads, "one for each query head");
  new Float32Array(values.buffer).set(Array.from(given, checked));
  return { values };
}

function checked(value: number, head: number): number {
  if (typeof value === "number" && value >= 0 && Number.isFinite(Math.fround(value))) return value;
  const fix = "A threshold is a softmax weight; 0 keeps every block of its head.";
  return fail("shape", `thresholds[${head}]`, "a number of at least 0 that f32 can hold", value, fix);
}
