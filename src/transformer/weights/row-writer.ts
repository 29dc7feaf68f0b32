import { weightRange } from "webgpu-attention/layers";
import { convertRows } from "./convert-rows.js";
import { decode } from "./decode.js";
import type { EncodedRows } from "./encode.js";
import { checkFinite } from "./finite.js";
import type { Placement } from "./match-tensors.js";
import type { PlannedWeight } from "./plan-slots.js";
import { STORED_BLOCKS } from "./stored-tensor.js";
import type { UploadQueue } from "./upload-queue.js";

/** Stored bytes that are converted together. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** A planned weight with its buffers, one for each part. */
export interface AllocatedWeight extends PlannedWeight {
  readonly buffers: readonly GPUBuffer[];
}

/** Takes the bytes of one stored tensor in order, and writes its rows to where they belong, a few MiB at a time. */
export class RowWriter {
  readonly #uploads: UploadQueue;
  readonly #weight: AllocatedWeight;
  readonly #placement: Placement;
  /** The row of the weight that the tensor's first one becomes. */
  readonly #firstRow: number;
  readonly #rowBytes: number;
  readonly #chunk: Uint8Array<ArrayBuffer>;
  #filled = 0;
  #rowsDone = 0;

  constructor(uploads: UploadQueue, weight: AllocatedWeight, placement: Placement, firstRow: number) {
    const { tensor, target } = placement;
    const { values, bytes } = STORED_BLOCKS[tensor.dtype];
    this.#uploads = uploads;
    this.#weight = weight;
    this.#placement = placement;
    this.#firstRow = firstRow;
    this.#rowBytes = (target.columns / values) * bytes;
    // Which of a transposed matrix's values make a row is known only when all are there.
    const rows = target.transposed
      ? target.rows
      : chunkRows(this.#rowBytes, target.rows, target.interleavedRows);
    this.#chunk = new Uint8Array(rows * this.#rowBytes);
  }

  async push(piece: Uint8Array): Promise<void> {
    for (let taken = 0; taken < piece.byteLength; ) {
      const part = piece.subarray(taken, taken + this.#chunk.byteLength - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.byteLength;
      taken += part.byteLength;
      if (this.#filled === this.#chunk.byteLength) await this.#flush();
    }
  }

  /** Writes what is left. The tensor has as many bytes as its shape says; its file's header was checked. */
  async finish(): Promise<void> {
    if (this.#filled > 0) await this.#flush();
  }

  async #flush(): Promise<void> {
    const { target, tensor } = this.#placement;
    const stored = this.#chunk.subarray(0, this.#filled);
    this.#filled = 0;
    if (!target.transposed) {
      await this.#write(stored, stored.byteLength / this.#rowBytes);
      return;
    }
    const { bytes } = STORED_BLOCKS[tensor.dtype];
    const rows = chunkRows(this.#rowBytes, target.rows);
    for (let first = 0; first < target.rows; first += rows) {
      const count = Math.min(rows, target.rows - first);
      await this.#write(transposedRows(stored, bytes, target.rows, target.columns, first, count), count);
    }
  }

  /** Rows in the order of the weight from here on, but for interleaved ones. */
  async #write(stored: Uint8Array<ArrayBuffer>, rows: number): Promise<void> {
    const { target, tensor } = this.#placement;
    const { interleavedRows } = target;
    const bytes = interleavedRows ? deinterleaved(stored, this.#rowBytes, interleavedRows) : stored;
    const first = this.#firstRow + this.#rowsDone;
    this.#rowsDone += rows;
    const { layout, kind } = this.#weight;
    if (kind === "matrix")
      this.#writeMatrix(convertRows(tensor.name, tensor.dtype, bytes, rows, layout), first, rows);
    else {
      const values = new Float32Array(rows * layout.columns);
      decode(tensor.dtype, bytes, values);
      checkFinite(tensor.name, values);
      this.#uploads.write(this.#weight.buffers[0]!, 4 * first * layout.columns, values);
    }
    await this.#uploads.settle();
  }

  /** Rows from `first` on, to the parts that they belong to. */
  #writeMatrix({ values, scales }: EncodedRows, first: number, rows: number): void {
    const { layout, buffers, parts } = this.#weight;
    parts.forEach((part, index) => {
      const begin = Math.max(first, part.firstRow);
      const count = Math.min(first + rows, part.firstRow + part.rows) - begin;
      if (count <= 0) return;
      const place = weightRange(layout, part.rows, begin - part.firstRow, count);
      const from = begin - first;
      const words = (all: Uint32Array<ArrayBuffer>) =>
        all.subarray((from * all.length) / rows, ((from + count) * all.length) / rows);
      this.#uploads.write(buffers[index]!, place.values.offset, words(values));
      this.#uploads.write(buffers[index]!, place.scales.offset, words(scales));
    });
  }
}

/** Rows of a chunk: at least one, whole groups, no more than there are. */
function chunkRows(rowBytes: number, rows: number, group = 1): number {
  const fitting = Math.floor(CHUNK_BYTES / (rowBytes * group)) * group;
  return Math.min(Math.max(fitting, group), rows);
}

/** Rows [first, first + count) of a matrix [rows, columns] that is stored [columns, rows]. */
function transposedRows(
  stored: Uint8Array<ArrayBuffer>,
  bytesPerValue: number,
  rows: number,
  columns: number,
  first: number,
  count: number,
): Uint8Array<ArrayBuffer> {
  const Values = bytesPerValue === 4 ? Uint32Array : Uint16Array;
  const from = new Values(stored.buffer, stored.byteOffset, rows * columns);
  const out = new Values(count * columns);
  for (let column = 0; column < columns; column++) {
    const line = column * rows + first;
    for (let row = 0; row < count; row++) out[row * columns + column] = from[line + row]!;
  }
  return new Uint8Array(out.buffer);
}

/** Of each group of rows, those at even places first, then those at odd ones. */
function deinterleaved(
  stored: Uint8Array<ArrayBuffer>,
  rowBytes: number,
  group: number,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(stored.byteLength);
  const half = group / 2;
  for (let row = 0; row < stored.byteLength / rowBytes; row++) {
    const place = row % group;
    const from = row - place + (place < half ? 2 * place : 2 * (place - half) + 1);
    out.set(stored.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return out;
}
