import type { BenchEntry, BenchRow, PreparedEntry } from "../../kernels/_bench/mechanism-bench.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { YardstickTask } from "../matmul/yardstick.js";
import { measureRounds } from "../rounds.js";
import type { EntryResult, MechanismRowResult } from "./results.js";

export interface MeasureRowOptions {
  readonly ctx: AttentionContext;
  readonly mechanism: string;
  readonly yardsticks: readonly YardstickTask[];
  readonly rounds: number;
}

interface Entered {
  readonly result: EntryResult;
  readonly prepared?: PreparedEntry;
}

/** Checks every entry of a row against its reference, then times those that are right, all in the same rounds. */
export async function measureRow(row: BenchRow, options: MeasureRowOptions): Promise<MechanismRowResult> {
  const { ctx, mechanism, yardsticks, rounds } = options;
  const entered: Entered[] = [];
  for (const entry of row.entries) entered.push(await enter(entry, ctx));
  const tasks = entered.flatMap(({ result, prepared }) =>
    prepared ? [{ name: result.name, run: () => prepared.run() }] : [],
  );
  const measured = await measureRounds([...tasks, ...yardsticks], rounds);
  const matmul = yardsticks.map(({ name, flops }) => ({ name, flops, samples: measured.get(name)!.samples }));
  const entries = entered.map(({ result, prepared }): EntryResult => {
    prepared?.destroy();
    const { samples = [], error } = measured.get(result.name) ?? {};
    return error === undefined ? { ...result, samples } : { ...result, status: "failed", message: error };
  });
  return { mechanism, name: row.name, compare: row.compare, entries, matmul };
}

/** Only an entry that was right just now gets to be timed. */
async function enter(entry: BenchEntry, ctx: AttentionContext): Promise<Entered> {
  const base = { name: entry.name, rows: entry.rows, flops: 0, scratchBytes: 0, samples: [] };
  let prepared: PreparedEntry | undefined;
  try {
    prepared = await entry.prepare(ctx);
    const { flops, scratchBytes } = prepared;
    const { error, tolerance } = await prepared.check();
    const maxRelative = Number.isFinite(error) ? error : null;
    const result = { ...base, flops, scratchBytes, tolerance, maxRelative };
    if (error <= tolerance) return { result: { ...result, status: "timed" }, prepared };
    prepared.destroy();
    return { result: { ...result, status: "wrong" } };
  } catch (error) {
    prepared?.destroy();
    const message = error instanceof Error ? error.message : String(error);
    return { result: { ...base, status: "failed", message } };
  }
}
