import { expect, test } from "vitest";
import type { CallResult, RowResult } from "./results.js";
import { benchProblem } from "./suite.js";
import { compareSweeps, MEASURED, TABLE } from "./sweep.js";

const call = (name: string, samples: number[], change: Partial<CallResult> = {}): CallResult => {
  return { contender: "ours", call: name, status: "timed", samples, ...change };
};
const row = (...calls: CallResult[]): RowResult => {
  const problem = benchProblem("512", { tokensQ: 512, tokensK: 512 });
  return { suite: "prefill", problem, flops: 1, checkedTokens: 1, calls, matmul: [] };
};

test("choices are held against the fastest of all, round by round", () => {
  const swept = row(
    call(TABLE, [4, 8, 4]),
    call(MEASURED, [3, 6, 3]),
    call("rows", [2, 4, 2]),
    call("wrong", [], { status: "wrong" }),
    call("other", [1, 1, 1], { contender: "jax-js" }),
  );
  expect(compareSweeps([swept])).toEqual([
    { row: "prefill 512", configurations: 2, best: "rows", bestMs: 2, table: 2, measured: 1.5 },
  ]);
});

test("what measuring chose twice is not the fastest by its second name", () => {
  const swept = row(call(TABLE, [4, 4, 4]), call(MEASURED, [3, 3, 3]));
  expect(compareSweeps([swept])[0]).toMatchObject({ best: TABLE, measured: 0.75 });
});

test("rows without a sweep say nothing", () => {
  expect(compareSweeps([row(call("planSoftmaxAttention", [1])), row(call(TABLE, [1]))])).toEqual([]);
});
