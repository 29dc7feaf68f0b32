import { describe, expect, it } from "vitest";
import type { HeadOperation, ShiftOperation } from "../operations.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";
import { joinedOperations, operationsOfEntries } from "./head-operations.js";
import { stagesOf } from "./stages.js";

const shift: ShiftOperation = attentionCalibration();
const scale: HeadOperation = { kind: "scale", logits: 2 };
const gain: HeadOperation = { kind: "gain", output: 2 };
const towards = (target: Extract<HeadOperation, { kind: "mix" }>["target"], more = {}): HeadOperation => ({
  kind: "mix",
  target,
  u: 0.5,
  ...more,
});
const of = (...operations: HeadOperation[]) => stagesOf(new Map([[1, operations]]));

describe("stagesOf", () => {
  it("sorts operations by what carries them out", () => {
    const { scores, before, shifts, after } = of(scale, towards("identity"), shift, towards("zero"), gain);
    expect(scores.get(1)).toEqual([scale]);
    expect(before.get(1)).toEqual([towards("identity")]);
    expect(shifts.get(1)).toBe(shift);
    expect(after.get(1)).toEqual([towards("zero"), gain]);
  });

  it("takes a shift that keeps everything for none", () => {
    const none: ShiftOperation = { ...shift, keep: 1 };
    const { after, shifts } = of(none, towards("identity", { path: "slerp" }));
    expect(shifts.size).toBe(0);
    expect(after.get(1)).toHaveLength(1);
  });

  it("leaves out what changes nothing, whatever the order", () => {
    const none: HeadOperation[] = [
      towards("uniform", { u: 0 }),
      { kind: "gain", output: 1 },
      { ...shift, keep: 1 },
      { kind: "scale", logits: 1 },
    ];
    const { scores, before, shifts, after } = of(...none);
    expect([scores, before, shifts, after].map(({ size }) => size)).toEqual([0, 0, 0, 0]);
    expect(of({ kind: "gain", output: 1 }, scale).scores.get(1)).toEqual([scale]);
  });

  it.each<[string, HeadOperation[]]>([
    ["scale after a mix", [gain, scale]],
    ["two shifts", [shift, shift]],
    ["a shift after a mean query", [towards("meanQuery"), shift]],
    ["a shift after a log-linear path", [towards("identity", { path: "logLinear" }), shift]],
    ["a shift after own position and best key", [towards("identity"), towards("argmax"), shift]],
    ["a curve after a shift", [shift, towards("identity", { path: "slerp" })]],
    ["a log-linear path after others", [gain, towards("identity", { path: "logLinear" })]],
    ["a curve after a gain below 0", [{ kind: "gain", output: -1 }, towards("identity", { path: "slerp" })]],
    ["something else", [{ kind: "other" } as never]],
    ["a misspelt option of what changes nothing", [{ ...shift, keep: 1, keeps: 2 } as never]],
  ])("refuses %s", (_, operations) => {
    expect(() => of(...operations)).toThrow(expect.objectContaining({ code: "unsupported" }));
  });

  it("takes what has an exact form", () => {
    expect(() => of(towards("identity", { path: "slerp" }), shift, towards("meanQuery"))).not.toThrow();
    expect(() => of(towards("meanQuery", { u: 0 }), shift)).not.toThrow();
  });
});

describe("operationsOfEntries", () => {
  it("repeats one map, or takes one each", () => {
    const map = new Map([[0, gain]]);
    expect(operationsOfEntries(map, 2, 1)).toEqual([new Map([[0, [gain]]]), new Map([[0, [gain]]])]);
    expect(operationsOfEntries([new Map(), map], 2, 1)[0]!.size).toBe(0);
  });

  it.each([[[new Map()]], [new Map([[4, gain]])], [{}]])("refuses %j", (given) => {
    expect(() => operationsOfEntries(given as never, 2, 4)).toThrow(
      expect.objectContaining({ code: "shape" }),
    );
  });
});

describe("joinedOperations", () => {
  it("lists those of all sources on a head, on scores first", () => {
    const joined = joinedOperations([new Map([[0, [gain]]]), new Map([[0, [scale, towards("zero")]]])]);
    expect(joined.get(0)).toEqual([scale, gain, towards("zero")]);
  });
});
