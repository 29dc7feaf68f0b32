import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import { checkLength, fail, isBuffer } from "../../src/dispatch/check.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import type { FlowOptions, PerBatch } from "./options.js";
import type { FlowShape } from "./problem.js";

/**
 * The plan's table of lengths, [2, B]: queries, then keys. Given numbers are checked and stored; buffers are copied in at every
 * `record`.
 *
 * @throws AttentionError "shape" for wrong lengths, "unsupported" for a buffer without COPY_SRC
 */
export function lengthsTable(shape: FlowShape, options: FlowOptions): Table {
  const { batches, tokensQ, tokensK, causal } = shape;
  const { queryLengths = causal ? options.keyLengths : undefined } = options;
  const { keyLengths = causal ? options.queryLengths : undefined } = options;
  const values = new Uint32Array(2 * batches).fill(tokensQ, 0, batches).fill(tokensK, batches);
  const copies: NonNullable<Table["copies"]>[number][] = [];
  const put = (name: string, given: PerBatch | undefined, to: number, tokens: number) => {
    if (given === undefined) return;
    if (isBuffer(given)) copies.push(copyOf(name, given, to, batches));
    else values.set(checkedLengths(name, given, batches, tokens), to);
  };
  put("queryLengths", queryLengths, 0, tokensQ);
  put("keyLengths", keyLengths, batches, tokensK);
  if (causal) checkSame(queryLengths, keyLengths);
  return { values, copies };
}

/** A causal token is both sink and source, or neither. */
function checkSame(queryLengths: PerBatch | undefined, keyLengths: PerBatch | undefined): void {
  const listed = (given: PerBatch | undefined) =>
    given === undefined || isBuffer(given) ? given : Array.from(given).join(", ");
  if (listed(queryLengths) === listed(keyLengths)) return;
  fail(
    "shape",
    "queryLengths and keyLengths",
    "the same lengths, since causal tokens are both",
    "others",
    "Give one of the two.",
  );
}

function copyOf(name: string, buffer: GPUBuffer, to: number, count: number) {
  if (!(buffer.usage & BufferUsage.COPY_SRC)) {
    fail(
      "unsupported",
      `${name} buffer usage`,
      `GPUBufferUsage.COPY_SRC (${BufferUsage.COPY_SRC})`,
      `usage ${buffer.usage}`,
      "Create the buffer with GPUBufferUsage.COPY_SRC added to its usage.",
    );
  }
  if (buffer.size < 4 * count) {
    fail(
      "shape",
      `${name} buffer`,
      `at least ${4 * count} bytes`,
      `${buffer.size} bytes`,
      "Make the buffer larger.",
    );
  }
  return { from: buffer, to, count };
}

function checkedLengths(name: string, values: ArrayLike<number>, batches: number, tokens: number): number[] {
  checkLength(name, values, batches, "one for each batch entry");
  return Array.from(values, (value, index) => {
    if (Number.isInteger(value) && value >= 0 && value <= tokens) return value;
    return fail(
      "shape",
      `${name}[${index}]`,
      `an integer from 0 to ${tokens} (the number of tokens)`,
      value,
      "The first so many tokens take part; the others are padding.",
    );
  });
}
