import { paddedColumns, type WeightMatrix, weightRange } from "../../kernels/_layers/index.js";
import { float16ToNumber as halfToFloat } from "../../src/dispatch/float16.js";
import type { AttentionContext } from "../../src/index.js";

/** A device for tests that keeps buffers in memory, with limits as small as one likes. */
export class MemoryDevice {
  readonly bytes = new Map<GPUBuffer, Uint8Array>();
  readonly destroyed = new Set<GPUBuffer>();
  /** Sizes of all writes. */
  readonly writes: number[] = [];
  /** Bytes written since the queue was waited for last; and the most that it ever was. */
  pending = 0;
  mostPending = 0;
  readonly context: AttentionContext;
  /** Loses the device. */
  lose: () => void = () => {};
  /** Set to have buffers refused. */
  outOfMemory = false;
  /** Buffers of this label are invalid. */
  invalidLabel: string | undefined;
  /** How long the queue takes for what was written. */
  settlingMs = 0;
  /** Error scopes, which all users of a device share, and what was found in them. */
  readonly #scopes: { readonly filter: GPUErrorFilter; error: { message: string } | null }[] = [];

  constructor(limit = 2 ** 27) {
    const limits = { maxBufferSize: limit, maxStorageBufferBindingSize: limit };
    this.context = { device: this.#device(), capabilities: { limits } } as unknown as AttentionContext;
  }

  #device(): object {
    return {
      lost: new Promise((resolve) => {
        this.lose = () => resolve({ reason: "unknown", message: "unplugged" });
      }),
      createBuffer: ({ size, usage, label }: GPUBufferDescriptor) => {
        const buffer = { size, usage, destroy: () => this.destroyed.add(buffer) } as unknown as GPUBuffer;
        this.bytes.set(buffer, new Uint8Array(size));
        if (this.outOfMemory) this.#fail("out-of-memory", "no room");
        if (label !== undefined && label === this.invalidLabel) this.#fail("validation", "invalid");
        return buffer;
      },
      pushErrorScope: (filter: GPUErrorFilter) => this.#scopes.push({ filter, error: null }),
      popErrorScope: async () => this.#scopes.pop()?.error ?? null,
      queue: {
        writeBuffer: (buffer: GPUBuffer, offset: number, data: ArrayBuffer, from: number, size: number) => {
          if (offset % 4 !== 0 || size % 4 !== 0) throw new Error(`${size} bytes at ${offset}: not aligned`);
          this.bytes.get(buffer)!.set(new Uint8Array(data, from, size), offset);
          this.writes.push(size);
          this.pending += size;
          this.mostPending = Math.max(this.mostPending, this.pending);
        },
        onSubmittedWorkDone: async () => {
          if (this.settlingMs > 0) await new Promise((resolve) => setTimeout(resolve, this.settlingMs));
          this.pending = 0;
        },
      },
    };
  }

  /** An error goes to the innermost scope for its kind. */
  #fail(filter: GPUErrorFilter, message: string): void {
    const scope = this.#scopes.findLast((one) => one.filter === filter);
    if (scope) scope.error ??= { message };
  }

  floats(buffer: GPUBuffer): Float32Array {
    return new Float32Array(this.bytes.get(buffer)!.buffer);
  }

  /** The numbers that a matrix stands for, read plainly from its layout. */
  matrix(matrix: WeightMatrix): Float32Array {
    const { rows, columns, dtype, parts } = matrix;
    const padded = paddedColumns(matrix);
    const values = new Float32Array(rows * columns);
    for (const { buffer, firstRow, rows: count } of parts) {
      const view = new DataView(this.bytes.get(buffer)!.buffer);
      for (let row = 0; row < count; row++) {
        const place = weightRange(matrix, count, row, 1);
        for (let column = 0; column < columns; column++) {
          const value = valueAt(view, dtype, place.values.offset, place.scales.offset, column);
          values[(firstRow + row) * columns + column] = value;
        }
        // Padding of f32 and f16 is zero.
        for (let column = columns; column < padded && dtype[0] === "f"; column++) {
          if (valueAt(view, dtype, place.values.offset, 0, column) !== 0)
            throw new Error("padding is not zero");
        }
      }
    }
    return values;
  }
}

function valueAt(
  view: DataView,
  dtype: WeightMatrix["dtype"],
  values: number,
  scales: number,
  column: number,
): number {
  const half = (offset: number) => halfToFloat(view.getUint16(offset, true));
  switch (dtype) {
    case "f32":
      return view.getFloat32(values + 4 * column, true);
    case "f16":
      return half(values + 2 * column);
    case "q8":
      return half(scales + 2 * (column >> 4)) * view.getInt8(values + column);
    case "q4": {
      const level = (view.getUint8(values + (column >> 1)) >> (4 * (column & 1))) & 15;
      return half(scales + 4 * (column >> 5)) * level + half(scales + 4 * (column >> 5) + 2);
    }
  }
}
