import { describe, expect, it } from "vitest";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { keyRanges } from "./key-ranges.js";
import { members, packOperations } from "./operation-table.js";
import { type AttentionShiftProblem, checkShiftProblem } from "./problem.js";
import type { KeyShift } from "./types.js";

const layout = (tokens: number) => ({ dtype: "f32" as const, shape: [2, tokens, 3, 8] as const });
const attention = { q: layout(12), k: layout(20), v: layout(20), causal: true };
const range = { range: [4, 9] } as const;
const shift: KeyShift = { sinks: { keys: [1] }, keep: 0.4, recipients: range };
const check = (change: Partial<AttentionShiftProblem>) =>
  checkShiftProblem({ ...attention, heads: new Map([[1, shift]]), ...change }, minimumCapabilities());
const head = (change: object) => ({ heads: new Map([[1, { ...shift, ...change } as KeyShift]]) });

describe("a problem of shifts", () => {
  it.each<[string, string, Partial<AttentionShiftProblem> | object]>([
    ["packed sequences", "unsupported", { queryOffsets: [0, 12], keyOffsets: [0, 20] }],
    ["a block mask", "unsupported", { blockMask: {} }],
    ["listed rows", "unsupported", { queryRows: {} }],
    ["another number of maps", "shape", { heads: [new Map()] }],
    ["a head that is not there", "shape", { heads: new Map([[3, shift]]) }],
    ["an unknown option", "unsupported", { sink: 1 }],
    ["a share above 1", "shape", head({ keep: 1.5 })],
    ["an unknown part of a shift", "unsupported", head({ beta: 0.4 })],
    ["an unknown rule", "unsupported", head({ sinks: { received: "sum", theta: 1 } })],
    ["a threshold that is negative", "shape", head({ sinks: { received: "abs", theta: -1 } })],
    [
      "channels that are not there",
      "shape",
      {
        ...head({ sinks: { hidden: { dims: [9], tau: 2 } } }),
        hidden: { dtype: "f32", shape: [2, 20, 1, 9] },
      },
    ],
    ["hidden states of other tokens", "shape", { hidden: { dtype: "f32", shape: [2, 12, 1, 9] } }],
    ["keys before the first", "shape", head({ sinks: { keys: [-1] } })],
    ["rows that are none", "shape", head({ rows: "first" })],
    ["a range of one number", "shape", head({ recipients: { range: [3] } })],
    ["received weight in another order", "unsupported", { received: { dtype: "f32", shape: [2, 20, 3, 1] } }],
    ["sinks that are no buffer", "shape", { sinks: { buffer: {}, keys: 20 } }],
  ])("is refused: %s", (_name, code, change) => {
    expect(() => check(change as never)).toThrow(expect.objectContaining({ code }));
  });

  it("leaves out what changes nothing", () => {
    expect(check({}).shifts.map(({ batch, head: own }) => [batch, own])).toEqual([
      [0, 1],
      [1, 1],
    ]);
    expect(check(head({ keep: 1 })).shifts).toEqual([]);
  });
});

describe("operations as data", () => {
  it("store each set once", () => {
    const sizes = { batches: 2, heads: 3, tokensK: 40 };
    const gated = { ...shift, gate: { mass: [range, 0.2], ratio: [range, range, 0.5] } } as const;
    const table = packOperations(Uint32Array.of(7), [{ batch: 1, head: 2, shift: gated }], sizes, {
      given: false,
      spareNewest: false,
    });
    // Softmax attention's own word, owners of six heads, one operation, the sinks' set and the range.
    expect(table).toMatchObject({ headsAt: 1, operationsAt: 7, setsAt: 24, probesAt: 24 + 2 * 3, probes: 0 });
    expect([...table.values.subarray(1, 7)]).toEqual([-1, -1, -1, -1, -1, 0].map((owner) => owner >>> 0));
    expect([...table.values.subarray(24)].sort()).toEqual([1, 0b10, 0, 5, 0b111110000, 0].sort());
  });

  it("take the keys that there are", () => {
    expect(members({ range: [-3, 4] }, 3)).toEqual([0, 1, 2]);
    expect(members({ keys: [5, 1, 1, 9] }, 6)).toEqual([1, 5]);
  });
});

describe("keys cut at a range", () => {
  const cut = (change: Partial<AttentionShiftProblem>) => {
    const problem = { ...attention, heads: new Map([[1, shift]]), ...change };
    return keyRanges(problem, checkShiftProblem(problem, minimumCapabilities()));
  };

  it("leave no pair out, and none twice", () => {
    expect(cut({ keyStarts: [0, 6], keyLengths: [20, 8] })).toEqual({
      before: { keyStarts: [0, 6], keyLengths: [4, 6], queryOffset: 8 },
      recipients: { keyStarts: [4, 6], keyLengths: [9, 8], queryOffset: 8 },
      after: { keyStarts: [9, 8], keyLengths: [20, 8], queryOffset: 8 },
    });
    expect(cut({ heads: [new Map([[0, { ...shift, recipients: { range: [0, 20] } }]]), new Map()] })).toEqual(
      {
        before: { keyStarts: [0, 0], keyLengths: [0, 20], queryOffset: 8 },
        recipients: { keyStarts: [0, 20], keyLengths: [20, 20], queryOffset: 8 },
      },
    );
  });

  it("are none where shifts name other sets, or queries stand at ends of their own", () => {
    expect(cut(head({ recipients: "nonsinks" }))).toBeUndefined();
    expect(cut(head({ gate: { mass: [{ range: [4, 8] }, 0.1] } }))).toBeUndefined();
    expect(cut({ queryOffset: "end", keyLengths: [20, 12] })).toBeUndefined();
    expect(cut({ queryOffset: "end", keyLengths: [15, 15] })?.recipients.queryOffset).toBe(3);
  });
});
