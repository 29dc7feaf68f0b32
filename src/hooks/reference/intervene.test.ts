import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import type { HeadOperation, ShiftOperation } from "../operations.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";
import { attend, attentionMap } from "./attention-map.js";
import { type DenseTensor, headRows } from "./dense-tensor.js";
import { type HeadOperations, interventionReference } from "./intervene.js";

const random = randomSource(5);
const tensor = (heads: number, dim: number, tokens = 12): DenseTensor => ({
  data: normalArray(2 * tokens * heads * dim, random),
  shape: [2, tokens, heads, dim],
});
// Four query heads on two of keys and values, which are wider than the keys.
const inputs = { q: tensor(4, 8), k: tensor(2, 8), v: tensor(2, 10), causal: true };

/** Of one head, [Tq, Dv]. */
function headOf(out: Float64Array, b: number, h: number): Float64Array[] {
  return headRows({ data: out, shape: [2, 12, 4, 10] }, b, h);
}

describe("interventionReference", () => {
  const plain = interventionReference(inputs);

  it("is softmax attention without operations", () => {
    for (const [b, h] of [
      [0, 0],
      [1, 3],
    ] as const) {
      const expected = attend(attentionMap(inputs, b, h), headRows(inputs.v, b, Math.floor(h / 2)));
      expect(headOf(plain.out, b, h)).toEqual(expected);
    }
    expect(plain.lse[0]).toBe(plain.maps[0]![0]!.lse[0]);
    expect(interventionReference({ ...inputs, heads: new Map() }).out).toEqual(plain.out);
  });

  it("changes the heads that are listed, in every batch entry or in each its own", () => {
    const mix: HeadOperation = { kind: "mix", target: "identity", u: 1 };
    const all = interventionReference({ ...inputs, heads: new Map([[2, mix]]) }).out;
    const none: HeadOperations = new Map();
    const second = interventionReference({ ...inputs, heads: [none, new Map([[2, mix]])] }).out;
    for (const b of [0, 1]) {
      expect(headOf(all, b, 1)).toEqual(headOf(plain.out, b, 1));
      expect(headOf(all, b, 2)).toEqual(headRows(inputs.v, b, 1));
    }
    expect(headOf(second, 0, 2)).toEqual(headOf(plain.out, 0, 2));
    expect(headOf(second, 1, 2)).toEqual(headOf(all, 1, 2));
  });

  it("applies operations one after another, the sinks being those of the pattern as it then is", () => {
    const scale: HeadOperation = { kind: "scale", logits: 0.5 };
    const shift = attentionCalibration({ theta: 0.15 });
    const mix: HeadOperation = { kind: "mix", target: "identity", u: 0.3 };
    const gain: HeadOperation = { kind: "gain", output: 2 };
    const both = interventionReference({ ...inputs, heads: new Map([[0, [scale, shift, mix, gain]]]) });
    const shiftOnly = interventionReference({ ...inputs, heads: new Map([[0, [scale, shift]]]) });
    const rows = headOf(shiftOnly.out, 0, 0);
    const own = headRows(inputs.v, 0, 0);
    for (const [i, row] of headOf(both.out, 0, 0).entries()) {
      const expected = rows[i]!.map((x, d) => 2 * (0.7 * x + 0.3 * own[i]![d]!));
      expect(difference(row, expected).maxAbsolute).toBeLessThan(1e-12);
    }
    const halved = interventionReference({
      ...inputs,
      scale: 0.5 / Math.sqrt(8),
      heads: new Map([[0, shift]]),
    });
    expect(difference(halved.maps[0]![0]!.weights, shiftOnly.maps[0]![0]!.weights).maxAbsolute).toBeLessThan(
      1e-12,
    );
  });

  it("gives the shift the output form that kernels use", () => {
    const shift: ShiftOperation = { ...attentionCalibration({ beta: 0.25 }), sinks: { keys: [1, 3] } };
    const { maps } = interventionReference({ ...inputs, heads: new Map([[1, shift]]) });
    const before = attentionMap(inputs, 0, 1);
    for (let i = 0; i < 12; i++) {
      const a = before.weights.subarray(i * 12, (i + 1) * 12);
      const s = a[1]! + a[3]!;
      if (1 - s === 0) continue;
      const c = 1 + (0.75 * s) / (1 - s);
      const expected = a.map((x, j) => c * x + (j === 1 || j === 3 ? (0.25 - c) * x : 0));
      const row = maps[0]![1]!.weights.subarray(i * 12, (i + 1) * 12);
      expect(difference(row, expected).maxAbsolute).toBeLessThan(1e-12);
    }
  });

  it("refuses to change scores after weights", () => {
    const operations: HeadOperation[] = [
      { kind: "mix", target: "zero", u: 1 },
      { kind: "scale", logits: 2 },
    ];
    expect(() => interventionReference({ ...inputs, heads: new Map([[0, operations]]) })).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
  });

  it("adds a bias to the rows that are asked for", () => {
    const keys = Float64Array.from({ length: 12 }, (_, j) => (j === 4 ? Math.log(3) : 0));
    const { maps } = interventionReference({
      ...inputs,
      heads: new Map([[0, { kind: "bias", keys, rows: "last" }]]),
    });
    const before = attentionMap(inputs, 0, 0);
    const after = maps[0]![0]!;
    expect(after.weights.subarray(0, 11 * 12)).toEqual(before.weights.subarray(0, 11 * 12));
    const last = 11 * 12;
    const odds = (map: typeof after) => map.weights[last + 4]! / map.weights[last]!;
    expect(odds(after) / odds(before)).toBeCloseTo(3, 12);
  });
});
