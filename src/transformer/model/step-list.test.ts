import { expect, test, vi } from "vitest";
import type { BoundPlan } from "webgpu-attention";
import type { SequenceState } from "./sequence-state.js";
import { recordStep, type Step, stepOf } from "./step.js";
import { StepList } from "./step-list.js";

/** Writes down what is done to it. */
class Commands {
  readonly log: string[] = [];
  readonly encoder = {
    beginComputePass: () => {
      this.log.push("begin");
      return { end: () => this.log.push("end") };
    },
  } as unknown as GPUCommandEncoder;

  take(): string[] {
    return this.log.splice(0);
  }
}

const commands = new Commands();
const note = (what: string) => () => void commands.log.push(what);

function plan(name: string, prepare: BoundPlan["prepare"]) {
  return {
    passes: [1, 2],
    cost: { flops: 3, bytes: 5 },
    record: note(`record ${name}`),
    bind: vi.fn(
      ({ of }: { readonly of: string }): BoundPlan => ({ prepare, dispatch: note(`${name} of ${of}`) }),
    ),
    destroy: vi.fn(),
  };
}

const state = (name: string) =>
  ({ name, turn: 0, layers: [] }) as unknown as SequenceState & { name: string };
const tensorsOf = (run: SequenceState | undefined) => ({
  of: run ? `${(run as unknown as { name: string }).name}${run.turn}` : "none",
});

test("plans that follow each other share a compute pass, and copy once what they have in common", () => {
  const lengths = note("copy lengths");
  const [a, b] = [plan("a", lengths), plan("b", lengths)];
  const hook = recordStep(note("hook"));
  const list = new StepList([stepOf(a, tensorsOf), stepOf(b, tensorsOf), hook, stepOf(a, { of: "same" })]);
  list.record(commands.encoder);
  expect(commands.take()).toEqual([
    ...["copy lengths", "begin", "a of none", "b of none", "end"],
    ...["hook", "copy lengths", "begin", "a of same", "end"],
  ]);
  expect(list).toMatchObject({ dispatches: 6, cost: { flops: 9, bytes: 15 } });
});

test("tensors are bound once for each state and turn", () => {
  const a = plan("a", note("copy"));
  const list = new StepList([stepOf(a, tensorsOf)]);
  const [first, second] = [state("first"), state("second")];
  const run = (of: SequenceState & { turn: 0 | 1 }, turn: 0 | 1) => {
    of.turn = turn;
    list.record(commands.encoder, of);
    return commands.take()[2];
  };
  expect([run(first, 0), run(first, 1), run(second, 0), run(first, 0), run(first, 1)]).toEqual([
    "a of first0",
    "a of first1",
    "a of second0",
    "a of first0",
    "a of first1",
  ]);
  expect(a.bind).toHaveBeenCalledTimes(3);
  // A state that has grown has other buffers.
  Object.assign(first, { layers: [] });
  expect(run(first, 1)).toBe("a of first1");
  expect(a.bind).toHaveBeenCalledTimes(4);
});

test("plans that cannot be bound record for themselves", () => {
  const { bind: _, ...hooked } = plan("hooked", note("copy"));
  const step: Step = stepOf(hooked, { of: "x" });
  new StepList([step]).record(commands.encoder);
  expect(commands.take()).toEqual(["record hooked"]);
});
