import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { fillWithNaN, readFloats, uploadFloats } from "../gpu.js";
import type { TimedTask } from "../rounds.js";
import { sampledRows } from "../sampled-rows.js";
import type { MatmulCandidate } from "./candidates.js";

const CHECKED_ROWS = 24;

/** The matrices of C = A B, [size, size] each, on a device: what every candidate gets. */
export class Matrices {
  readonly #device: GPUDevice;
  readonly #size: number;
  readonly #a: Float32Array<ArrayBuffer>;
  readonly #b: Float32Array<ArrayBuffer>;
  readonly #buffers: readonly [a: GPUBuffer, b: GPUBuffer, c: GPUBuffer];
  #expected: { rows: number[]; values: Float64Array } | undefined;

  constructor(device: GPUDevice, size: number) {
    this.#device = device;
    this.#size = size;
    const random = randomSource(3);
    this.#a = normalArray(size * size, random);
    this.#b = normalArray(size * size, random);
    const c = new Float32Array(size * size);
    this.#buffers = [uploadFloats(device, this.#a), uploadFloats(device, this.#b), uploadFloats(device, c)];
  }

  async prepare(candidate: MatmulCandidate): Promise<TimedTask> {
    const device = this.#device;
    const module = device.createShaderModule({ label: candidate.name, code: candidate.code(this.#size) });
    const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
    const bindGroup = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: this.#buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const [x, y] = candidate.workgroups(this.#size);
    return {
      name: candidate.name,
      async run() {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(x, y);
        pass.end();
        device.queue.submit([encoder.finish()]);
        await device.queue.onSubmittedWorkDone();
      },
    };
  }

  /** Of sampled rows, relative to their largest value; infinite when any element of the product is not finite. */
  async errorOf(task: TimedTask): Promise<number> {
    const out = this.#buffers[2];
    fillWithNaN(this.#device, out);
    await task.run();
    const actual = await readFloats(this.#device, out);
    if (!actual.every(Number.isFinite)) return Number.POSITIVE_INFINITY;
    this.#expected ??= this.#expectedRows();
    const size = this.#size;
    const sampled = this.#expected.rows.flatMap((row) => [...actual.subarray(row * size, (row + 1) * size)]);
    return difference(sampled, this.#expected.values).maxRelative;
  }

  #expectedRows(): { rows: number[]; values: Float64Array } {
    const size = this.#size;
    const rows = sampledRows(size, CHECKED_ROWS);
    const values = new Float64Array(rows.length * size);
    for (const [index, row] of rows.entries()) {
      for (let inner = 0; inner < size; inner++) {
        const factor = this.#a[row * size + inner]!;
        for (let column = 0; column < size; column++) {
          values[index * size + column]! += factor * this.#b[inner * size + column]!;
        }
      }
    }
    return { rows, values };
  }
}
