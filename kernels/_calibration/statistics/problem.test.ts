import { describe, expect, test } from "vitest";
import type { Shape4, TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { type AttentionStatisticsProblem, checkStatistics } from "./problem.js";

const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });
const [q, k] = [layout(2, 6, 4, 8), layout(2, 9, 2, 8)];
const base: AttentionStatisticsProblem = { q, k, lse: true, statistics: { entropy: true } };
const check = (changes: object) => checkStatistics({ ...base, ...changes }, minimumCapabilities());

describe("a problem of statistics", () => {
  test("has outputs for each head, a head's numbers side by side", () => {
    const { outputs } = check({
      statistics: { receivedMean: true, mass: [{ keys: [1] }, { range: [0, 4] }], argmax: true },
    });
    expect(outputs).toEqual({
      receivedMean: { dtype: "f32", shape: [2, 9, 4, 1], strides: [36, 1, 9, 1] },
      mass: { dtype: "f32", shape: [2, 6, 4, 2], strides: [48, 2, 12, 1] },
      argmaxKey: { dtype: "f32", shape: [2, 6, 4, 1], strides: [24, 1, 6, 1] },
      argmaxWeight: { dtype: "f32", shape: [2, 6, 4, 1], strides: [24, 1, 6, 1] },
    });
  });

  test("sweeps the heads that are averaged, and compares all or those", () => {
    const statistics = { entropy: true, headDiversity: true };
    const grouped = check({ statistics, headGroups: [[3, 0], [3]] });
    expect(grouped.heads).toEqual([0, 3]);
    expect(grouped.groups).toEqual([[1, 0], [1]]);
    expect(grouped.compared).toEqual([[1, 0], [1]]);
    expect(grouped.outputs.entropy?.shape).toEqual([2, 6, 2, 1]);
    expect(grouped.outputs.headDiversity?.shape).toEqual([2, 1, 2, 1]);
    const single = check({ statistics });
    expect(single.groups).toEqual([[0], [1], [2], [3]]);
    expect(single.compared).toEqual([[0, 1, 2, 3]]);
  });

  test("leaves out what is not asked for", () => {
    const { request } = check({ statistics: { entropy: true, squares: false, topKeys: undefined } });
    expect(request).toEqual({ entropy: true });
  });
});

describe("refusals before any GPU call", () => {
  test.each<[string, object, string]>([
    ["nothing asked for", { statistics: {} }, "shape"],
    ["an unknown statistic", { statistics: { entropie: true } }, "unsupported"],
    ["a flag that is none", { statistics: { entropy: 1 } }, "shape"],
    ["no window", { statistics: { windowedDistance: 0 } }, "shape"],
    [
      "a horizon that ends before it begins",
      { statistics: { futureInfluence: { low: 3, high: 2 } } },
      "shape",
    ],
    ["a set that is none", { statistics: { mass: [{ range: [1] }] } }, "shape"],
    ["both kinds of set", { statistics: { mass: [{ range: [1, 2], keys: [1] }] } }, "shape"],
    ["no set", { statistics: { mass: [] } }, "shape"],
    ["no key at all", { statistics: { topKeys: 0 } }, "shape"],
    ["half a diagonal", { statistics: { diagonals: [0.5] } }, "shape"],
    ["more cells than rows", { statistics: { map: { rows: 7, columns: 2 } } }, "shape"],
    ["more cells than keys", { statistics: { map: { rows: 2, columns: 10 } } }, "shape"],
    ["a head that there is not", { headGroups: [[4]] }, "shape"],
    ["a head twice", { headGroups: [[1, 1]] }, "shape"],
    ["an empty group", { headGroups: [[]] }, "shape"],
    ["averaged keys", { headGroups: [[1]], statistics: { argmax: true } }, "unsupported"],
    ["averaged sums to go on from", { headGroups: [[1]], carried: true }, "unsupported"],
    [
      "carried sums of other keys",
      { carried: { sum: layout(2, 8, 4, 1), count: layout(2, 9, 4, 1) } },
      "shape",
    ],
    [
      "carried sums that nothing is added to",
      { carried: true, statistics: { receivedMax: true } },
      "unsupported",
    ],
    ["more sets than 32", { statistics: { mass: Array(33).fill({ keys: [0] }) } }, "shape"],
    ["more keys of a row than 256", { statistics: { topKeys: 257 } }, "shape"],
    ["row terms of another shape", { rowTerms: layout(2, 4, 6, 3) }, "shape"],
    ["a log-sum-exp of another shape", { lse: layout(2, 6, 4, 2) }, "shape"],
    ["packed sequences", { queryOffsets: [0, 6], keyOffsets: [0, 9] }, "unsupported"],
    ["listed rows", { queryRows: {} }, "unsupported"],
    ["values", { v: k }, "unsupported"],
    ["keys of another width", { k: layout(2, 9, 2, 4) }, "shape"],
  ])("%s", (_name, changes, code) => {
    expect(() => check(changes)).toThrow(expect.objectContaining({ code }));
  });
});
