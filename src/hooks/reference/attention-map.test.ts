import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { attend, attentionMap, mapOfWeights, sees } from "./attention-map.js";
import { headRows } from "./dense-tensor.js";
import { golden } from "./golden-case.js";

describe("attentionMap", () => {
  const { params, tokensFirst, headValues, tensor } = golden<{
    H: number;
    window: number;
    kept_first: number;
  }>("sink_logits");
  const q = tokensFirst("input.q");
  const k = tokensFirst("input.k");
  const v = tokensFirst("input.v");
  const window = { left: params.window - 1 };
  const masks = {
    causal: { causal: true },
    window6: { causal: true, window },
    sink2_window6: { causal: true, window, firstKeys: params.kept_first },
  };
  const sinks = {
    plain: undefined,
    off_by_one: new Float64Array(params.H),
    sink_logit: tensor("input.sink_logit"),
  };
  const cases = Object.entries(masks).flatMap(([mask, options]) =>
    Object.entries(sinks).map(([sink, sinkLogits]) => ({ name: `${mask}.${sink}`, options, sinkLogits })),
  );

  it.each(cases)("masks, and lets a sink into the denominator: $name", ({ name, options, sinkLogits }) => {
    for (let h = 0; h < params.H; h++) {
      const map = attentionMap({ q, k, ...options, sinkLogits }, 0, h);
      const out = attend(map, headRows(v, 0, h)).flatMap((row) => [...row]);
      expect(difference(out, headValues(`expect.out64.${name}`, h)).maxAbsolute).toBeLessThan(1e-10);
      const sums = Array.from({ length: map.queries }, (_, i) =>
        map.weights.subarray(i * map.keys, (i + 1) * map.keys).reduce((a, b) => a + b),
      );
      const expected = (tensor(`expect.row_sum64.${name}`) as Float64Array).subarray(h * 24, (h + 1) * 24);
      expect(difference(sums, expected).maxAbsolute).toBeLessThan(1e-12);
    }
  });

  it("equals the plain output times sigmoid(lse − sink), the sink in the log-sum-exp", () => {
    const sinkLogits = tensor("input.sink_logit");
    const plain = attentionMap({ q, k, causal: true }, 0, 1);
    const withSink = attentionMap({ q, k, causal: true, sinkLogits }, 0, 1);
    for (let i = 0; i < 24; i++) {
      const gate = 1 / (1 + Math.exp(sinkLogits[1]! - plain.lse[i]!));
      expect(withSink.weights[i * 24]!).toBeCloseTo(plain.weights[i * 24]! * gate, 12);
      const joined = Math.log(Math.exp(plain.lse[i]!) + Math.exp(sinkLogits[1]!));
      expect(withSink.lse[i]).toBeCloseTo(joined, 12);
    }
  });

  it("leaves hidden memory out, whatever it holds", () => {
    const dirty = { ...k, data: Float64Array.from(k.data) };
    const begin = 20 * 4 * 16;
    (dirty.data as Float64Array).fill(Number.NaN, begin);
    const map = attentionMap({ q, k: dirty, keyLengths: [20] }, 0, 0);
    expect(sees(map, 0, 19)).toBe(true);
    expect(sees(map, 0, 20)).toBe(false);
    const values = headRows(v, 0, 0).map((row, j) => (j < 20 ? row : row.fill(Number.NaN)));
    expect(attend(map, values).every((row) => row.every(Number.isFinite))).toBe(true);
  });

  it("weighs nothing in a row that sees nothing", () => {
    const map = attentionMap({ q, k, keyStarts: [24] }, 0, 0);
    expect(map.weights.every((weight) => weight === 0)).toBe(true);
    expect(map.lse[0]).toBe(-Infinity);
  });

  it("takes weights as they are", () => {
    const map = mapOfWeights([0.25, 0.75, 0, 1], 2);
    expect([...map.weights]).toEqual([0.25, 0.75, 0, 1]);
    expect(sees(map, 1, 0)).toBe(false);
  });
});
