import type { BenchInputs, Contender, ContenderName } from "./contender.js";
import { type EnteredCall, enterRow } from "./enter-row.js";
import type { YardstickTask } from "./matmul/yardstick.js";
import type { CallResult, RowResult } from "./results.js";
import { measureRounds, type TaskSamples, type TimedTask } from "./rounds.js";
import { attentionFlops, type BenchRow, rowName } from "./suite.js";

export interface MeasureOptions {
  /** Started, or why not. */
  readonly contenders: ReadonlyMap<ContenderName, Contender | Error>;
  readonly yardsticks: readonly YardstickTask[];
  readonly rounds: number;
  /** The numbers of a problem. */
  makeInputs(problem: BenchRow["problem"]): BenchInputs;
}

/**
 * Checks every call of every contender against the reference, then times those that are right. All calls of all rows take
 * turns in the same rounds, so that the rows, too, can be held against each other.
 */
export async function measureRows(rows: readonly BenchRow[], options: MeasureOptions): Promise<RowResult[]> {
  const { contenders, yardsticks, rounds } = options;
  const entered = [];
  for (const row of rows) {
    entered.push({ row, ...(await enterRow(options.makeInputs(row.problem), contenders)) });
  }
  const tasks = entered.flatMap(({ row, calls }) =>
    calls.flatMap(({ result, call }): TimedTask[] =>
      call ? [{ name: taskName(row, result), run: () => call.run() }] : [],
    ),
  );
  const measured = await measureRounds([...tasks, ...yardsticks], rounds);
  const matmul = yardsticks.map(({ name, flops }) => ({ name, flops, samples: measured.get(name)!.samples }));
  return entered.map(({ row, checkedTokens, calls }) => {
    for (const { call } of calls) call?.destroy();
    return {
      ...row,
      flops: attentionFlops(row.problem),
      checkedTokens,
      calls: calls.map((entry) => withSamples(entry, measured.get(taskName(row, entry.result)))),
      matmul,
    };
  });
}

function withSamples({ result }: EnteredCall, measured: TaskSamples | undefined): CallResult {
  if (!measured) return result;
  const { samples, error } = measured;
  return error === undefined ? { ...result, samples } : { ...result, status: "failed", message: error };
}

function taskName(row: BenchRow, { contender, call }: CallResult): string {
  return `${rowName(row)}: ${contender} ${call}`;
}
