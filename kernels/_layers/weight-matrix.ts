import type { CapabilityLimits } from "../../src/dispatch/capabilities.js";
import { checkUsage, fail } from "../../src/dispatch/check.js";

/** How weights lie in memory; [README.md](README.md#weight-matrices) gives the bits. All but `f32` are half its size or less. */
export type WeightDType = "f32" | "f16" | "q8" | "q4";

/** A matrix [rows, columns] = [out, in], row by row. In memory a row's columns are padded with zeros to a multiple of 32. */
export interface WeightLayout {
  readonly dtype: WeightDType;
  /** Outputs, or entries of an embedding; at least 1. */
  readonly rows: number;
  /** Inputs, or the width of an embedding; at least 1. */
  readonly columns: number;
}

/** Rows [firstRow, firstRow + rows) of a matrix: there is more than one part where the whole would exceed what a device binds. */
export interface WeightPart {
  /** `weightBytes(layout, rows)` bytes, or more in multiples of 16, with STORAGE usage. Belongs to whoever created it. */
  readonly buffer: GPUBuffer;
  readonly firstRow: number;
  readonly rows: number;
}

export interface WeightMatrix extends WeightLayout {
  /** Together all rows, in order. */
  readonly parts: readonly WeightPart[];
}

/** Where some rows of a part lie in its buffer, in bytes; all are multiples of 4. `scales` has no size for f32 and f16. */
export interface WeightRange {
  readonly values: { readonly offset: number; readonly size: number };
  readonly scales: { readonly offset: number; readonly size: number };
}

/** Columns that share a word of scales; rows are padded to a multiple of it. */
const BLOCK = 32;

export const WEIGHT_DTYPES = ["f32", "f16", "q8", "q4"] as const satisfies readonly WeightDType[];

const BITS: Readonly<Record<WeightDType, number>> = { f32: 32, f16: 16, q8: 8, q4: 4 };

/** Parts end at multiples of so many rows where they hold so many, so that no tile of a kernel is cut. */
const PART_ROWS = 64;

/** Columns of a row as they lie in memory. */
export function paddedColumns({ columns }: Pick<WeightLayout, "columns">): number {
  return Math.ceil(columns / BLOCK) * BLOCK;
}

/**
 * Bytes of a part of `rows` rows (default all): their values, then (q8, q4) their scales, up to a multiple of 16, since kernels
 * load so many at once.
 */
export function weightBytes(layout: WeightLayout, rows = layout.rows): number {
  return Math.ceil((rows * (valueBytes(layout) + scaleBytes(layout))) / 16) * 16;
}

/**
 * Where rows [first, first + count) of a part of `rows` rows lie, for writing a matrix piece by piece.
 *
 * @param first counted from the part's first row
 */
export function weightRange(layout: WeightLayout, rows: number, first: number, count: number): WeightRange {
  const [values, scales] = [valueBytes(layout), scaleBytes(layout)];
  return {
    values: { offset: first * values, size: count * values },
    scales: { offset: rows * values + first * scales, size: count * scales },
  };
}

/**
 * How to cut a matrix into parts that a device binds: as few as possible, each but the last of a multiple of 64 rows, or of as many as fit
 * where these are fewer.
 *
 * @throws AttentionError "limit" where not even one row fits
 */
export function splitRows(
  layout: WeightLayout,
  limits: Pick<CapabilityLimits, "maxStorageBufferBindingSize" | "maxBufferSize">,
): { readonly firstRow: number; readonly rows: number }[] {
  checkWeightLayout("weight", layout);
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  // Of whole multiples of 16 bytes, to which a part is padded; its rows are not.
  const fitting = Math.floor((Math.floor(most / 16) * 16) / (valueBytes(layout) + scaleBytes(layout)));
  if (fitting < 1)
    fail(
      "limit",
      "row of a weight matrix",
      `at most ${most} bytes (the device's maxStorageBufferBindingSize and maxBufferSize)`,
      `${weightBytes(layout, 1)} bytes`,
      "Request the device with AttentionContext.requirements(adapter).",
    );
  if (fitting >= layout.rows) return [{ firstRow: 0, rows: layout.rows }];
  const rows = fitting > PART_ROWS ? fitting - (fitting % PART_ROWS) : fitting;
  return Array.from({ length: Math.ceil(layout.rows / rows) }, (_, part) => ({
    firstRow: part * rows,
    rows: Math.min(rows, layout.rows - part * rows),
  }));
}

/** @throws AttentionError "dtype" or "shape" */
export function checkWeightLayout(name: string, { dtype, rows, columns }: WeightLayout): void {
  if (!WEIGHT_DTYPES.includes(dtype))
    fail(
      "dtype",
      `${name}.dtype`,
      WEIGHT_DTYPES.map((known) => `"${known}"`).join(", "),
      `"${dtype}"`,
      "Convert the matrix first.",
    );
  for (const [axis, size] of Object.entries({ rows, columns })) {
    if (Number.isSafeInteger(size) && size >= 1) continue;
    fail(
      "shape",
      `${name}.${axis}`,
      "an integer of at least 1",
      size,
      "A matrix is [rows, columns] = [out, in].",
    );
  }
}

/**
 * Checks a matrix with its parts: that they are all its rows, in order, and what kernels can bind.
 *
 * @throws AttentionError "dtype", "shape", "unsupported" or "limit"
 */
export function checkWeightMatrix(
  name: string,
  matrix: WeightMatrix,
  { maxStorageBufferBindingSize: most }: Pick<CapabilityLimits, "maxStorageBufferBindingSize">,
): void {
  if (
    typeof matrix !== "object" ||
    matrix === null ||
    !Array.isArray(matrix.parts) ||
    matrix.parts.length < 1
  )
    fail(
      "shape",
      name,
      "a weight matrix { dtype, rows, columns, parts }",
      matrix,
      "Load or upload it as one.",
    );
  checkWeightLayout(name, matrix);
  let next = 0;
  // Array.from: forEach would pass over the holes of a sparse array.
  Array.from(matrix.parts).forEach((given: WeightPart | null | undefined, index) => {
    const part = `${name}.parts[${index}]`;
    if (typeof given !== "object" || given === null)
      fail("shape", part, "a part { buffer, firstRow, rows }", given, "splitRows says what parts to make.");
    const { buffer, firstRow, rows } = given;
    if (firstRow !== next || !Number.isSafeInteger(rows) || rows < 1)
      fail(
        "shape",
        part,
        `rows from ${next} on, at least one`,
        `${rows} rows from ${firstRow}`,
        "Parts are the matrix's rows in order, without gaps.",
      );
    next += rows;
    const bytes = weightBytes(matrix, rows);
    const size = Number(buffer?.size);
    if (!(size >= bytes))
      fail(
        "shape",
        `${part}.buffer`,
        `at least ${bytes} bytes`,
        `${size} bytes`,
        "weightBytes(layout, rows) says how many.",
      );
    if (size > most)
      fail(
        "limit",
        `${part}.buffer`,
        `at most ${most} bytes (the device's maxStorageBufferBindingSize)`,
        `${size} bytes`,
        "Cut the matrix as splitRows says, or request the device with AttentionContext.requirements(adapter).",
      );
    if (size % 16 !== 0)
      fail(
        "shape",
        `${part}.buffer`,
        "a multiple of 16 bytes",
        `${size} bytes`,
        "Create it with weightBytes(layout, rows) bytes.",
      );
    checkUsage(`${part}.buffer usage`, buffer, "STORAGE");
  });
  if (next !== matrix.rows)
    fail(
      "shape",
      `${name}.parts`,
      `${matrix.rows} rows together`,
      `${next}`,
      "Give every part of the matrix.",
    );
}

function valueBytes(layout: WeightLayout): number {
  return (paddedColumns(layout) * BITS[layout.dtype]) / 8;
}

function scaleBytes(layout: WeightLayout): number {
  return layout.dtype === "q8" || layout.dtype === "q4" ? (paddedColumns(layout) / BLOCK) * 4 : 0;
}
