import { requestDevice } from "../gpu.js";
import type { MatmulResult } from "../results.js";
import { measureRounds, type TimedTask } from "../rounds.js";
import { median } from "../statistics.js";
import { MATMUL_CANDIDATES } from "./candidates.js";
import { Matrices } from "./matrices.js";

const SIZES = [512, 1024, 2048, 4096];
/** Shorter products measure how work is submitted, not how it is done. */
const WORTHWHILE_MS = 20;
const TOLERANCE = 1e-5;
/** The fastest few go on to take turns in every row: on a busy machine, which of them is best may change. */
const FINALISTS = 2;

/** The fastest plain f32 matrix products of an adapter: what attention, which is two of them, can be held against. */
export interface Yardstick {
  readonly candidates: readonly MatmulResult[];
  readonly finalists: readonly YardstickTask[];
}

export interface YardstickTask extends TimedTask {
  /** Operations of one run. */
  readonly flops: number;
}

/** Checks and times the candidates on matrices that grow until the fastest needs long enough to be measured. */
export async function findYardstick(rounds: number): Promise<Yardstick> {
  const device = await requestDevice();
  for (const size of SIZES) {
    const found = await measureSize(device, size, rounds);
    const best = found.candidates.find(({ name }) => name === found.finalists[0]?.name);
    if (!best || median(best.samples) >= WORTHWHILE_MS || size === SIZES.at(-1)) return found;
  }
  throw new Error("no sizes to measure");
}

async function measureSize(device: GPUDevice, size: number, rounds: number): Promise<Yardstick> {
  const matrices = new Matrices(device, size);
  const flops = 2 * size ** 3;
  const tasks: TimedTask[] = [];
  const checked: MatmulResult[] = [];
  for (const candidate of MATMUL_CANDIDATES) {
    const base = { name: candidate.name, size, flops, samples: [] };
    try {
      const task = await matrices.prepare(candidate);
      const error = await matrices.errorOf(task);
      const maxRelative = Number.isFinite(error) ? error : null;
      if (error <= TOLERANCE) tasks.push(task);
      checked.push({ ...base, status: error <= TOLERANCE ? "timed" : "wrong", maxRelative });
    } catch (error) {
      checked.push({ ...base, status: "failed", message: (error as Error).message });
    }
  }
  const measured = await measureRounds(tasks, rounds);
  const candidates = checked.map((result): MatmulResult => {
    const { samples = [], error } = measured.get(result.name) ?? {};
    return error === undefined ? { ...result, samples } : { ...result, status: "failed", message: error };
  });
  const finalists = candidates
    .filter(({ samples }) => samples.length > 0)
    .sort((a, b) => median(a.samples) - median(b.samples))
    .slice(0, FINALISTS)
    .map(({ name }) => ({ ...tasks.find((task) => task.name === name)!, flops }));
  return { candidates, finalists };
}
