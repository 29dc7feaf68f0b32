import { Bench } from "tinybench";

/** Shortest turn: what is faster than this runs several times a turn, and a sample is their mean. */
const TURN_MS = 20;

export interface TimedTask {
  readonly name: string;
  /** Resolves when the GPU has finished. */
  run(): Promise<void>;
}

export interface TaskSamples {
  /** Milliseconds of a run, one a round. */
  readonly samples: number[];
  /** Why the task has no samples. */
  readonly error?: string;
}

/**
 * Times tasks in rounds: every task has one turn a round, in an order that moves on by one from round to round, so that
 * whatever else the machine does meets all of them alike. A first round warms up and is not counted. A task that throws
 * loses its samples and takes no further turns.
 *
 * @returns by name
 */
export async function measureRounds(
  tasks: readonly TimedTask[],
  rounds: number,
): Promise<Map<string, TaskSamples>> {
  const results = new Map<string, TaskSamples>(tasks.map(({ name }) => [name, { samples: [] }]));
  for (let round = -1; round < rounds; round++) {
    for (const task of rotated(tasks, round + 1)) {
      const result = results.get(task.name)!;
      if (result.error !== undefined) continue;
      try {
        const sample = await turn(task);
        if (round >= 0) result.samples.push(sample);
      } catch (error) {
        results.set(task.name, {
          samples: [],
          error: error instanceof Error ? error.message : String(error),
        });
      }
    }
  }
  return results;
}

/** Mean milliseconds of a run over one turn. */
async function turn({ name, run }: TimedTask): Promise<number> {
  const bench = new Bench({ iterations: 1, time: TURN_MS, warmup: false, throws: true });
  bench.add(name, run, { async: true });
  await bench.run();
  const { result } = bench.getTask(name)!;
  if (result.state !== "completed") throw new Error(`${name} did not complete: ${result.state}`);
  return result.latency.mean;
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const start = by % (items.length || 1);
  return [...items.slice(start), ...items.slice(0, start)];
}
