import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { sampledTokens } from "../expected.js";
import { fillWithNaN, readFloats, requestDevice, uploadFloats } from "../gpu.js";
import type { MatmulReport, MatmulResult } from "../results.js";
import { measureRounds, type TimedTask } from "../rounds.js";
import { median } from "../statistics.js";
import { MATMUL_CANDIDATES, type MatmulCandidate } from "./candidates.js";

const SIZES = [512, 1024, 2048, 4096];
/** Shorter products measure how work is submitted, not how it is done. */
const WORTHWHILE_MS = 20;
const CHECKED_ROWS = 24;
const TOLERANCE = 1e-5;

export interface Yardstick {
  readonly report: MatmulReport;
  /** The fastest right candidate, to take turns with what it measures. */
  readonly task?: TimedTask;
}

/**
 * Finds the fastest plain f32 matrix product of this adapter: what attention, which is two of them, can be held against.
 * The matrices grow until the fastest needs long enough to be measured.
 */
export async function findYardstick(rounds: number): Promise<Yardstick> {
  const device = await requestDevice();
  for (const size of SIZES) {
    const found = await measureSize(device, size, rounds);
    const best = found.report.candidates.find(({ name }) => name === found.report.best?.name);
    if (!best || median(best.samples) >= WORTHWHILE_MS || size === SIZES.at(-1)) return found;
  }
  throw new Error("no sizes to measure");
}

async function measureSize(device: GPUDevice, size: number, rounds: number): Promise<Yardstick> {
  const matrices = new Matrices(device, size);
  const tasks: TimedTask[] = [];
  const results: MatmulResult[] = [];
  for (const candidate of MATMUL_CANDIDATES) {
    const base = { name: candidate.name, size, samples: [] };
    try {
      const task = await matrices.prepare(candidate);
      const maxRelative = await matrices.errorOf(task);
      const finite = Number.isFinite(maxRelative) ? maxRelative : null;
      if (maxRelative <= TOLERANCE) tasks.push(task);
      results.push({ ...base, status: maxRelative <= TOLERANCE ? "timed" : "wrong", maxRelative: finite });
    } catch (error) {
      results.push({ ...base, status: "failed", message: (error as Error).message });
    }
  }
  const measured = await measureRounds(tasks, rounds);
  const candidates = results.map((result): MatmulResult => {
    const { samples = [], error } = measured.get(result.name) ?? {};
    return error === undefined ? { ...result, samples } : { ...result, status: "failed", message: error };
  });
  const timed = candidates.filter(({ samples }) => samples.length > 0);
  const [best] = timed.sort((a, b) => median(a.samples) - median(b.samples));
  const task = tasks.find(({ name }) => name === best?.name);
  if (!best || !task) return { report: { candidates } };
  return { report: { candidates, best: { name: best.name, flops: 2 * size ** 3 } }, task };
}

class Matrices {
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

  /** Of sampled rows, relative to the largest value; infinite when any element of the product is not finite. */
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
    const rows = sampledTokens(size, CHECKED_ROWS);
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
