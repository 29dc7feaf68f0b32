import type { BenchInputs, Call, CallFactory, Contender, ContenderName } from "./contender.js";
import { countDispatches } from "./dispatch-counter.js";
import { type ExpectedRows, expectedRows, largestError } from "./expected.js";
import type { CallResult } from "./results.js";

/** A call and what its check found. */
export interface EnteredCall {
  readonly result: CallResult;
  /** Absent where there is nothing to time. The caller destroys it. */
  readonly call?: Call;
}

export interface EnteredRow {
  /** Query rows that were compared with the reference. */
  readonly checkedTokens: number;
  readonly calls: readonly EnteredCall[];
}

/** Prepares and checks every way in which the contenders can compute a problem. */
export async function enterRow(
  inputs: BenchInputs,
  contenders: ReadonlyMap<ContenderName, Contender | Error>,
): Promise<EnteredRow> {
  const expected = expectedRows(inputs);
  const calls: EnteredCall[] = [];
  for (const [name, contender] of contenders) calls.push(...(await enter(name, contender, inputs, expected)));
  return { checkedTokens: expected.tokens.length, calls };
}

async function enter(
  name: ContenderName,
  contender: Contender | Error,
  inputs: BenchInputs,
  expected: ExpectedRows,
): Promise<EnteredCall[]> {
  const untimed = { contender: name, call: "", samples: [] };
  if (contender instanceof Error) {
    return [{ result: { ...untimed, status: "failed", message: contender.message } }];
  }
  const factories = contender.calls(inputs);
  if (factories.length === 0) return [{ result: { ...untimed, status: "unsupported" } }];
  const calls: EnteredCall[] = [];
  for (const factory of factories) {
    calls.push(await check(name, contender.tolerance, factory, inputs, expected));
  }
  return calls;
}

/** Only a call that was right just now gets to be timed. */
async function check(
  contender: ContenderName,
  tolerance: number,
  factory: CallFactory,
  { problem }: BenchInputs,
  expected: ExpectedRows,
): Promise<EnteredCall> {
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
