import { describe, expect, it, test } from "vitest";
import { AttentionError } from "../../src/dispatch/errors.js";
import { bakeAgentBiases } from "./bake-biases.js";

const zeros = (count: number) => new Float32Array(count);
const count = (length: number, from = 0) => Array.from({ length }, (_, n) => from + n);

/** One head, one agent; blocks of 2 x 2 keys and 1 x 1 query. */
const small = {
  anBias: [0, 1, 2, 3],
  naBias: [0, 0, 0, 0],
  ahBias: zeros(4),
  awBias: zeros(4),
  haBias: [10],
  waBias: [5],
};
const smallSizes = { heads: 1, agents: 1, grid: [1, 1], keyGrid: [4, 4] } as const;

describe("bakeAgentBiases", () => {
  it("grows blocks between half-pixel centres, and repeats them beyond the outermost", () => {
    const axis = [0, 0.25, 0.75, 1];
    const { agentBias, queryBias } = bakeAgentBiases(small, smallSizes);
    expect([...agentBias]).toEqual(axis.flatMap((y) => axis.map((x) => 2 * y + x)));
    expect([...queryBias]).toEqual([15]);
  });

  it("shrinks blocks without antialiasing", () => {
    const block = count(49);
    const biases = { ...small, anBias: block, naBias: block, ahBias: zeros(2), awBias: zeros(3) };
    const { agentBias } = bakeAgentBiases(biases, { ...smallSizes, keyGrid: [2, 3] });
    // 7 / 2: centres at 1.25 and 4.75; 7 / 3: at 2/3, 3 and 16/3.
    const expected = [1.25, 4.75].flatMap((y) => [2 / 3, 3, 16 / 3].map((x) => 7 * y + x));
    agentBias.forEach((value, place) => {
      expect(value).toBeCloseTo(expected[place]!, 5);
    });
  });

  it("adds rows and columns, and puts the class token first", () => {
    const [heads, agents, grid] = [2, 3, [2, 2]] as const;
    const blocks = zeros(heads * agents * 49);
    const { agentBias, queryBias } = bakeAgentBiases(
      {
        anBias: blocks,
        naBias: blocks,
        ahBias: count(12, 100),
        awBias: count(12, 200),
        haBias: count(12, 300),
        waBias: count(12, 400),
        acBias: count(6, 500),
        caBias: count(6, 600),
      },
      { heads, agents, grid },
    );
    expect(agentBias).toHaveLength(2 * 3 * 5);
    expect(queryBias).toHaveLength(2 * 5 * 3);
    // Head 1, agent 2 is row 5 of the agents' arrays.
    expect([...agentBias.subarray(25)]).toEqual([505, 110 + 210, 110 + 211, 111 + 210, 111 + 211]);
    // Head 1: the class token, then pixel (0, 1), which is row 2 of ha and row 3 of wa.
    expect([...queryBias.subarray(15, 18)]).toEqual([603, 604, 605]);
    expect([...queryBias.subarray(21, 24)]).toEqual([306 + 409, 307 + 410, 308 + 411]);
  });

  test.each<[string, object, object, RegExp]>([
    ["a misspelt name", { ...small, an: [] }, smallSizes, /an/],
    ["a missing array", { ...small, haBias: undefined }, smallSizes, /haBias.*1 values.*undefined/],
    ["missing blocks", { ...small, anBias: undefined }, smallSizes, /anBias/],
    ["rows of the queries' grid", { ...small, ahBias: zeros(1) }, smallSizes, /ahBias.*4 values.*got 1/],
    ["blocks that are no squares", { ...small, anBias: zeros(5) }, smallSizes, /anBias.*4 values.*squares/],
    ["blocks of two sizes", { ...small, naBias: zeros(9) }, smallSizes, /naBias.*4 values.*got 9/],
    ["no heads", small, { ...smallSizes, heads: 0 }, /heads/],
    ["no grid", small, { heads: 1, agents: 1 }, /grid/],
    ["a broken key grid", small, { ...smallSizes, keyGrid: [4] }, /keyGrid.*rows, columns/],
    ["a misspelt size", small, { ...smallSizes, keygrid: [4, 4] }, /keygrid/],
    ["a class token of another count", { ...small, acBias: zeros(2) }, smallSizes, /acBias.*1 values/],
  ])("refuses %s", (_name, biases, sizes, message) => {
    const bake = () => bakeAgentBiases(biases as never, sizes as never);
    expect(bake).toThrow(AttentionError);
    expect(bake).toThrow(message);
  });
});
