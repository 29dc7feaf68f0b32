import type { BenchInputs, Call, CallFactory, Contender, ContenderName } from "./contender.js";
import { countDispatches } from "./dispatch-counter.js";
import { type ExpectedRows, expectedRows, largestError } from "./expected.js";
import type { YardstickTask } from "./matmul/yardstick.js";
import type { CallResult, RowResult } from "./results.js";
import { measureRounds, type TimedTask } from "./rounds.js";
import { attentionFlops, type BenchRow } from "./suite.js";

export interface RowOptions {
  readonly inputs: BenchInputs;
  /** Started, or why not. */
  readonly contenders: ReadonlyMap<ContenderName, Contender | Error>;
  readonly yardsticks: readonly YardstickTask[];
  readonly rounds: number;
}

interface Entrant {
  readonly result: CallResult;
  /** Absent where there is nothing to time. */
  readonly call?: Call;
}

/** Checks every call of every contender against the reference, then times those that are right, in rounds. */
export async function measureRow(row: BenchRow, options: RowOptions): Promise<RowResult> {
  const { inputs, contenders, yardsticks, rounds } = options;
  const expected = expectedRows(inputs);
  const entrants: Entrant[] = [];
  for (const [name, contender] of contenders) {
    entrants.push(...(await enter(name, contender, inputs, expected)));
  }

  const tasks = entrants.flatMap(({ result, call }): TimedTask[] =>
    call ? [{ name: taskName(result), run: () => call.run() }] : [],
  );
  const measured = await measureRounds([...tasks, ...yardsticks], rounds);
  for (const { call } of entrants) call?.destroy();
  return {
    ...row,
    flops: attentionFlops(row.problem),
    checkedTokens: expected.tokens.length,
    calls: entrants.map(({ result, call }) => {
      const { samples = [], error } = (call && measured.get(taskName(result))) ?? {};
      return error === undefined ? { ...result, samples } : { ...result, status: "failed", message: error };
    }),
    matmul: yardsticks.map(({ name, flops }) => ({ name, flops, samples: measured.get(name)!.samples })),
  };
}

function taskName({ contender, call }: CallResult): string {
  return `${contender} ${call}`;
}

async function enter(
  name: ContenderName,
  contender: Contender | Error,
  inputs: BenchInputs,
  expected: ExpectedRows,
): Promise<Entrant[]> {
  const untimed = { contender: name, call: "", samples: [] };
  if (contender instanceof Error) {
    return [{ result: { ...untimed, status: "failed", message: contender.message } }];
  }
  const factories = contender.calls(inputs);
  if (factories.length === 0) return [{ result: { ...untimed, status: "unsupported" } }];
  const entrants: Entrant[] = [];
  for (const factory of factories) {
    entrants.push(await check(name, contender.tolerance, factory, inputs, expected));
  }
  return entrants;
}

/** Only a call that was right just now gets to be timed. */
async function check(
  contender: ContenderName,
  tolerance: number,
  factory: CallFactory,
  { problem }: BenchInputs,
  expected: ExpectedRows,
): Promise<Entrant> {
  const base = { contender, call: factory.label, tolerance, samples: [] };
  let call: Call | undefined;
  try {
    call = await factory.prepare();
    const { run } = call;
    call.poison?.();
    const dispatches = await countDispatches(run);
    if (dispatches === 0) throw new Error("made no dispatch: the GPU had no part in it");
    const error = largestError(await call.read(), expected, problem.tokensQ);
    const result = { ...base, dispatches, maxRelative: Number.isFinite(error) ? error : null };
    if (error <= tolerance) return { result: { ...result, status: "timed" }, call };
    call.destroy();
    return { result: { ...result, status: "wrong" } };
  } catch (error) {
    call?.destroy();
    const message = error instanceof Error ? error.message : String(error);
    return { result: { ...base, status: "failed", message } };
  }
}
