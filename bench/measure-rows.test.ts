import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { makeCaseInputs } from "../kernels/softmax/case-inputs.js";
import { softmaxAttentionReference } from "../kernels/softmax/reference.js";
import { normalArray, randomSource } from "../test/support/random.js";
import type { Call, Contender, ContenderName } from "./contender.js";
import { measureRows } from "./measure-rows.js";
import { benchProblem } from "./suite.js";

const problem = benchProblem("full 5", { tokensQ: 5, tokensK: 5, heads: 2 });
const random = randomSource(2);
const data = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
const right = Float32Array.from(softmaxAttentionReference(data).out);

class FakePass {
  dispatchWorkgroups() {}
  dispatchWorkgroupsIndirect() {}
}

beforeEach(() => vi.stubGlobal("GPUComputePassEncoder", FakePass));
afterEach(() => vi.unstubAllGlobals());

class FakeCall implements Call {
  runs = 0;
  destroyed = 0;
  readonly output: Float32Array;
  readonly dispatches: number;

  constructor(output = right, dispatches = 2) {
    this.output = output;
    this.dispatches = dispatches;
  }

  run = async () => {
    this.runs++;
    for (let i = 0; i < this.dispatches; i++) new FakePass().dispatchWorkgroups();
    await new Promise((resolve) => setTimeout(resolve, 21));
  };
  read = async () => this.output;
  destroy = () => {
    this.destroyed++;
  };
}

const contender = (...calls: Call[]): Contender => ({
  tolerance: 1e-4,
  calls: () => calls.map((call, index) => ({ label: `call ${index}`, prepare: async () => call })),
});

async function measure(contenders: readonly [ContenderName, Contender | Error][]) {
  const row = { suite: "test", problem };
  const options = { contenders: new Map(contenders), yardsticks: [], rounds: 2 };
  const [result] = await measureRows([row], { ...options, makeInputs: () => ({ problem, data }) });
  return result!;
}

it("times what is right, and counts its dispatches", async () => {
  const call = new FakeCall();
  const { calls, checkedTokens } = await measure([["ours", contender(call)]]);
  expect(calls).toMatchObject([{ contender: "ours", call: "call 0", status: "timed", dispatches: 2 }]);
  expect(calls[0]!.samples).toHaveLength(2);
  expect(calls[0]!.maxRelative).toBeLessThan(1e-6);
  expect(checkedTokens).toBe(5);
  expect(call.destroyed).toBe(1);
});

it.each([
  ["an error", right.map((value) => value * 1.001), expect.closeTo(0.001, 5)],
  ["one NaN", right.map((value, index) => (index === 7 ? Number.NaN : value)), null],
])("never times a wrong output: %s", async (_what, output, maxRelative) => {
  const wrong = new FakeCall(output);
  const { calls } = await measure([["jax-js", contender(wrong, new FakeCall())]]);
  expect(calls).toMatchObject([{ status: "wrong", maxRelative, samples: [] }, { status: "timed" }]);
  expect(wrong).toMatchObject({ runs: 1, destroyed: 1 });
});

it("does not take a CPU's time for a GPU's", async () => {
  const { calls } = await measure([["onnxruntime-web", contender(new FakeCall(right, 0))]]);
  expect(calls).toMatchObject([{ status: "failed", samples: [] }]);
  expect(calls[0]!.message).toContain("no dispatch");
});

it("reports who could not start, who has no way, and who breaks down while timed", async () => {
  const breaking = new FakeCall();
  const { run } = breaking;
  breaking.run = async () => {
    await run();
    if (breaking.runs === 2) throw new Error("lost");
  };
  const { calls } = await measure([
    ["ours", contender(breaking)],
    ["onnxruntime-web", new Error("no wasm")],
    ["jax-js", contender()],
  ]);
  expect(calls).toMatchObject([
    { contender: "ours", status: "failed", message: "lost", samples: [] },
    { contender: "onnxruntime-web", status: "failed", message: "no wasm" },
    { contender: "jax-js", status: "unsupported" },
  ]);
});

it("gives every row of a group its own calls, and all the same turns of the matrix products", async () => {
  const row = (name: string) => ({ suite: "test", problem: { ...problem, name } });
  const product = { name: "product", flops: 8, run: () => new Promise<void>((done) => setTimeout(done, 21)) };
  const results = await measureRows([row("a"), row("b")], {
    contenders: new Map([["ours", contender(new FakeCall())]]),
    yardsticks: [product],
    rounds: 2,
    makeInputs: (given) => ({ problem: given, data }),
  });
  expect(results.map((result) => result.problem.name)).toEqual(["a", "b"]);
  for (const { calls, matmul } of results) {
    expect(calls).toHaveLength(1);
    expect(calls[0]!.samples).toHaveLength(2);
    expect(matmul).toEqual([{ name: "product", flops: 8, samples: results[0]!.matmul[0]!.samples }]);
    expect(matmul[0]!.samples).toHaveLength(2);
  }
});
