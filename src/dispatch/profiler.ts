import { BufferUsage } from "./buffer-usage.js";
import { AttentionError } from "./errors.js";

export interface PassTiming {
  readonly pass: string;
  readonly milliseconds: number;
}

/**
 * Times passes on the GPU with timestamp queries (`timestamp-query`; see `AttentionContext.requirements`).
 *
 * ```ts
 * const profiler = ctx.createProfiler();
 * plan.record(encoder, tensors, { profiler });
 * profiler.resolve(encoder);
 * device.queue.submit([encoder.finish()]);
 * console.table(await profiler.read());
 * ```
 */
export class Profiler {
  readonly #capacity: number;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readable: GPUBuffer;
  #passes: string[] = [];

  /** @param capacity most passes between two calls of `read` */
  constructor(device: GPUDevice, capacity = 256) {
    if (!device.features.has("timestamp-query")) {
      throw new AttentionError("unsupported", {
        subject: "profiler",
        expected: 'a device with the feature "timestamp-query"',
        got: "a device without it",
        fix: "Request the device with AttentionContext.requirements(adapter), or time with queue.onSubmittedWorkDone().",
      });
    }
    this.#capacity = capacity;
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * capacity });
    const size = 16 * capacity;
    this.#resolved = device.createBuffer({ size, usage: BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC });
    this.#readable = device.createBuffer({ size, usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST });
  }

  /** Timestamps for the next pass; undefined when the capacity is used up, and the pass goes untimed. */
  next(pass: string): GPUComputePassTimestampWrites | undefined {
    const index = this.#passes.length;
    if (index >= this.#capacity) return undefined;
    this.#passes.push(pass);
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: 2 * index,
      endOfPassWriteIndex: 2 * index + 1,
    };
  }

  /** Call once, after the last timed pass and before `encoder.finish()`. */
  resolve(encoder: GPUCommandEncoder): void {
    const count = 2 * this.#passes.length;
    if (count === 0) return;
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#readable, 0, 8 * count);
  }

  /** Timings since the last `read`, in the order in which the passes were recorded. Call after the submit. */
  async read(): Promise<PassTiming[]> {
    const passes = this.#passes;
    this.#passes = [];
    if (passes.length === 0) return [];
    await this.#readable.mapAsync(1 /* READ */);
    const ticks = new BigUint64Array(this.#readable.getMappedRange().slice(0));
    this.#readable.unmap();
    return passes.map((pass, index) => ({
      pass,
      milliseconds: Number(ticks[2 * index + 1]! - ticks[2 * index]!) / 1e6,
    }));
  }

  destroy(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#readable.destroy();
  }
}
