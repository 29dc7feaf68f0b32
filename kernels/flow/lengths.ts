import { fail, isBuffer } from "../../src/dispatch/check.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import { checkedCounts, type PerBatch, type TableCopy, tableCopy } from "../../src/dispatch/per-batch.js";
import type { FlowOptions } from "./options.js";
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
  const copies: TableCopy[] = [];
  const put = (name: string, given: PerBatch | undefined, to: number, tokens: number) => {
    if (given === undefined) return;
    if (isBuffer(given)) copies.push(tableCopy(name, given, to, batches));
    else values.set(checkedCounts(name, given, batches, tokens, PADDING), to);
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

const PADDING = { counted: "tokens", fix: "The first so many tokens take part; the others are padding." };
