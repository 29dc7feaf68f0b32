import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import { AttentionError } from "../../src/dispatch/errors.js";
import type { PerBatch } from "./problem.js";

/**
 * The kernels' `key_range` table [2, batch]: first visible key, then one past the last. Given numbers are checked and
 * stored; buffers are copied in at every `record`, and the kernel bounds what it reads there by Tk.
 *
 * @throws AttentionError "shape" for a wrong length or a value outside 0..Tk, "unsupported" for a buffer without COPY_SRC
 */
export function keyRangeTable(
  batches: number,
  tokensK: number,
  keyStarts?: PerBatch,
  keyLengths?: PerBatch,
): Table {
  const values = new Uint32Array(2 * batches);
  values.fill(tokensK, batches);
  const copies: NonNullable<Table["copies"]>[number][] = [];
  for (const [name, given, to] of [
    ["keyStarts", keyStarts, 0],
    ["keyLengths", keyLengths, batches],
  ] as const) {
    if (given === undefined) continue;
    if (isBuffer(given)) {
      checkPerBatchBuffer(name, given, batches);
      copies.push({ from: given, to, count: batches });
    } else {
      checkPerBatchValues(name, given, batches, tokensK);
      values.set(Array.from(given), to);
    }
  }
  return { values, copies };
}

function isBuffer(value: PerBatch): value is GPUBuffer {
  return typeof (value as GPUBuffer).usage === "number";
}

function checkPerBatchBuffer(name: string, buffer: GPUBuffer, batches: number): void {
  if (!(buffer.usage & BufferUsage.COPY_SRC)) {
    throw new AttentionError("unsupported", {
      subject: `${name} buffer usage`,
      expected: `GPUBufferUsage.COPY_SRC (${BufferUsage.COPY_SRC})`,
      got: `usage ${buffer.usage}`,
      fix: "Create the buffer with GPUBufferUsage.COPY_SRC added to its usage.",
    });
  }
  if (buffer.size < 4 * batches) {
    throw new AttentionError("shape", {
      subject: `${name} buffer`,
      expected: `at least ${4 * batches} bytes, a u32 for each of ${batches} batch entries`,
      got: `${buffer.size} bytes`,
      fix: "Make the buffer larger.",
    });
  }
}

function checkPerBatchValues(
  name: string,
  values: ArrayLike<number>,
  batches: number,
  tokensK: number,
): void {
  if (values === null || typeof values !== "object" || values.length !== batches) {
    throw new AttentionError("shape", {
      subject: name,
      expected: `${batches} integers, one for each batch entry, or a GPUBuffer of as many u32`,
      got: String(values?.length ?? values),
      fix: "Give one number for each batch entry.",
    });
  }
  for (const [index, value] of Array.from(values).entries()) {
    if (Number.isInteger(value) && value >= 0 && value <= tokensK) continue;
    throw new AttentionError("shape", {
      subject: `${name}[${index}]`,
      expected: `an integer from 0 to ${tokensK} (the number of keys)`,
      got: String(value),
      fix: "Keys keyStarts[b] <= j < keyLengths[b] are visible, both counted from key 0.",
    });
  }
}
