import { checkLength, checkUsage, fail } from "./check.js";
import type { Table } from "./compiled-passes.js";

/** Integers per batch entry: values, or a u32 buffer of [batch] with COPY_SRC usage that is read at every `record`. */
export type PerBatch = ArrayLike<number> | GPUBuffer;

export type TableCopy = NonNullable<Table["copies"]>[number];

/**
 * A copy of an application's buffer, from word `first` on, into a plan's table, at every `record`.
 *
 * @throws AttentionError "unsupported" without COPY_SRC usage, "shape" for a buffer that is too small
 */
export function tableCopy(name: string, buffer: GPUBuffer, to: number, count: number, first = 0): TableCopy {
  checkUsage(`${name} buffer usage`, buffer, "COPY_SRC");
  if (buffer.size < 4 * (first + count)) {
    fail(
      "shape",
      `${name} buffer`,
      `at least ${4 * (first + count)} bytes`,
      `${buffer.size} bytes`,
      "Make the buffer larger.",
    );
  }
  return { from: buffer, first, to, count };
}

/** @throws AttentionError "shape" unless there is one integer from 0 to `most` for each batch entry */
export function checkedCounts(
  name: string,
  values: ArrayLike<number>,
  batches: number,
  most: number,
  { counted, fix }: { readonly counted: string; readonly fix: string },
): number[] {
  checkLength(name, values, batches, "one for each batch entry");
  return Array.from(values, (value, index) => {
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    return fail(
      "shape",
      `${name}[${index}]`,
      `an integer from 0 to ${most} (the number of ${counted})`,
      value,
      fix,
    );
  });
}
