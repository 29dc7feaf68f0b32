import { checkLength, fail, isBuffer } from "../../src/dispatch/check.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import { checkedCounts, type TableCopy, tableCopy } from "../../src/dispatch/per-batch.js";
import type { SoftmaxOptions } from "./options.js";
import { fillOffsets } from "./packed.js";
import type { SoftmaxShape } from "./problem.js";

/**
 * The plan's small data, as `params.wgsl` describes it: `terms` (key ranges, sinks, slopes, rotary frequencies, sequences), the
 * key mask, and numbers that mods read. Given numbers are checked and stored; buffers are copied in at every `record`.
 *
 * @throws AttentionError "shape" for wrong lengths or values, "unsupported" for a buffer without COPY_SRC
 */
export function softmaxTables(shape: SoftmaxShape, options: SoftmaxOptions): Record<string, Table> {
  return {
    terms: termsTable(shape, options),
    ...(options.keyMask !== undefined && { key_mask: keyMaskTable(shape, options.keyMask) }),
    ...shape.mods?.tables,
  };
}

/** Batch entries as kernels count them: packed sequences, where there are any. */
export function entriesOf({ batches, packed }: SoftmaxShape): number {
  return packed ? packed.count : batches;
}

/** Where `terms` holds the query offsets of packed sequences. */
export function sequencesAt(shape: SoftmaxShape): number {
  return 2 * entriesOf(shape) + 2 * shape.heads + (shape.rotary ? shape.rotary.dim : 0);
}

function termsTable(shape: SoftmaxShape, options: SoftmaxOptions): Table {
  const { heads, tokensK, rotary, packed } = shape;
  const batches = entriesOf(shape);
  const values = new Uint32Array(sequencesAt(shape) + (packed ? packed.count + 1 : 0));
  const floats = new Float32Array(values.buffer);
  const copies: TableCopy[] = [];
  values.fill(tokensK, batches, 2 * batches);
  if (packed) copies.push(...fillOffsets(values, options, packed, sequencesAt(shape)));

  const perBatch = [
    ["keyStarts", options.keyStarts, 0] as const,
    ["keyLengths", options.keyLengths, batches] as const,
  ];
  for (const [name, given, to] of perBatch) {
    if (given === undefined) continue;
    if (isBuffer(given)) copies.push(tableCopy(name, given, to, batches));
    else values.set(checkedCounts(name, given, batches, tokensK, VISIBLE_KEYS), to);
  }

  const sinksAt = 2 * batches;
  const { sinkLogits, alibiSlopes } = options;
  if (isBuffer(sinkLogits)) copies.push(tableCopy("sinkLogits", sinkLogits, sinksAt, heads));
  else if (sinkLogits !== undefined) floats.set(checkedPerHead("sinkLogits", sinkLogits, heads), sinksAt);
  if (alibiSlopes !== undefined)
    floats.set(checkedPerHead("alibiSlopes", alibiSlopes, heads), sinksAt + heads);

  rotary?.frequencies.forEach((radians, pair) => {
    const turns = (radians / (2 * Math.PI)) * 2 ** 32;
    const step = Math.round(turns);
    const place = sinksAt + 2 * heads + 2 * pair;
    values[place] = ((step % 2 ** 32) + 2 ** 32) % 2 ** 32;
    floats[place + 1] = (turns - step) / 2 ** 32;
  });
  return { values, copies };
}

function keyMaskTable(
  { batches, tokensK }: SoftmaxShape,
  keyMask: NonNullable<SoftmaxOptions["keyMask"]>,
): Table {
  const words = Math.ceil(tokensK / 32);
  const values = new Uint32Array(batches * words);
  if (isBuffer(keyMask)) return { values, copies: [tableCopy("keyMask", keyMask, 0, batches * words)] };
  checkLength("keyMask", keyMask, batches * tokensK, `[${batches} batch entries, ${tokensK} keys]`);
  for (let i = 0; i < keyMask.length; i++) {
    const key = i % tokensK;
    if (keyMask[i]) values[Math.floor(i / tokensK) * words + (key >> 5)]! |= 1 << (key & 31);
  }
  return { values };
}

const VISIBLE_KEYS = {
  counted: "keys",
  fix: "Keys keyStarts[b] <= j < keyLengths[b] are visible, both counted from key 0.",
};

function checkedPerHead(name: string, values: ArrayLike<number>, heads: number): number[] {
  checkLength(name, values, heads, "one for each query head");
  return Array.from(values, (value, index) => {
    // A sink of minus infinity is none.
    if (typeof value === "number" && (Number.isFinite(value) || value === Number.NEGATIVE_INFINITY))
      return Math.max(value, -3e38);
    return fail("shape", `${name}[${index}]`, "a number", value, "Give one number for each query head.");
  });
}
