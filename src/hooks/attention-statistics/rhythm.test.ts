import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { golden } from "../reference/golden-case.js";
import { advantageWeights, scaleAdvantages } from "./advantages.js";
import { RHYTHM_HORIZONS, rhythmHeads, rhythmLayers, rhythmTokens, waadDeltas } from "./rhythm.js";

const { tensor } = golden("waad_fai");
const tokens = rhythmTokens({
  waad: tensor("expect.waad"),
  fai: tensor("expect.fai_10_50"),
  faiCounts: tensor("expect.count_10_50"),
});
const marked = (name: string) =>
  Array.from(tensor(name)).flatMap((value, position) => (value ? [position] : []));

describe("rhythmTokens", () => {
  it("takes deltas of the windowed distance", () => {
    expect(difference(waadDeltas(tensor("expect.waad")), tensor("expect.delta")).maxAbsolute).toBeLessThan(
      1e-12,
    );
    expect(tokens.delta).toEqual(waadDeltas(tensor("expect.waad")));
  });

  it("selects preplan tokens, anchors, dominated anchors and their introductions", () => {
    expect(tokens.preplan).toEqual(marked("expect.top_local"));
    expect(tokens.anchors).toEqual(marked("expect.top_global"));
    expect(tokens.dominated).toEqual(marked("expect.dominated"));
    expect(tokens.intro).toEqual(marked("expect.intro"));
  });

  it("groups heads by mean distance", () => {
    const { local, global } = rhythmHeads(tensor("expect.mean_distance"));
    expect(local).toEqual(Array.from(tensor("expect.local_heads")));
    expect(global).toEqual(Array.from(tensor("expect.global_heads")));
    expect(rhythmHeads([1, 1, 1, 1], 0.5)).toEqual({ local: [0, 1], global: [0, 1] });
  });

  it("chooses nothing where nothing can be chosen", () => {
    const one = rhythmTokens({ waad: [2], fai: [0, 0], faiCounts: [0, 0] });
    expect(one).toEqual({ delta: Float64Array.of(0), preplan: [], anchors: [], dominated: [], intro: [] });
  });

  it("takes the smaller position of equals", () => {
    const equal = rhythmTokens({ waad: [1, 1, 1, 1, 1], fai: Array(5).fill(1), faiCounts: Array(5).fill(1) });
    expect(equal.preplan).toEqual([0, 1]);
    expect(equal.anchors).toEqual([0, 1]);
    expect(equal.dominated).toEqual([1]);
    expect(equal.intro).toEqual([0]);
  });

  it("takes thresholds of the caller's", () => {
    const statistics = { waad: [1, 1, 1, 1, 1], fai: Array(5).fill(1), faiCounts: Array(5).fill(1) };
    expect(rhythmTokens(statistics, { deltaThreshold: 0.5 }).dominated).toEqual([]);
    expect(rhythmTokens(statistics, { waadThreshold: 0.5 }).dominated).toEqual([]);
  });

  it.each([
    [{ waad: [], fai: [1], faiCounts: [1] }, {}],
    [{ waad: [1, 2], fai: [1], faiCounts: [1] }, {}],
    [{ waad: [1], fai: [1], faiCounts: [] }, {}],
    [{ waad: [1], fai: [1], faiCounts: [1] }, { share: 2 }],
    [{ waad: [1], fai: [1], faiCounts: [1] }, { lookBack: 0 }],
  ])("refuses what does not fit: %j %j", (statistics, options) => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => rhythmTokens(statistics, options)).toThrow(shape);
  });
});

describe("rhythmLayers", () => {
  it.each([
    [36, [12, 15, 18, 21, 24]],
    [28, [9, 11, 13, 15, 18]],
    [4, [1, 2]],
    [1, [0]],
  ])("spaces five layers over the middle third of %d", (layers, expected) => {
    expect(rhythmLayers(layers)).toEqual(expected);
  });

  it("knows the horizons of both versions", () => {
    expect(RHYTHM_HORIZONS).toEqual({ v1: [10, 50], v2: [10, 100] });
  });
});

describe("advantageWeights", () => {
  it.each(["local", "global", "coupled"] as const)("weighs %s credit as published", (credit) => {
    const weights = advantageWeights(tokens, 80, { credit });
    expect(difference(weights, tensor(`expect.gamma_${credit}`)).maxAbsolute).toBeLessThan(1e-12);
  });

  it("refuses positions outside the sequence and other credit", () => {
    expect(() =>
      advantageWeights({ preplan: [0.5], anchors: [], dominated: [], intro: [] }, 3, { credit: "local" }),
    ).toThrow(expect.objectContaining({ code: "shape" }));
    expect(() => advantageWeights(tokens, 30, { credit: "local" })).toThrow(/one of 30 tokens/);
    expect(() => advantageWeights(tokens, 80, { credit: "none" as never })).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
  });
});

describe("scaleAdvantages", () => {
  it("leaves negative advantages alone in the first version only", () => {
    expect([...scaleAdvantages([1, -1, 0.5], [1.5, 1.5, 1], "v1")]).toEqual([1.5, -1, 0.5]);
    expect([...scaleAdvantages([1, -1, 0.5], [1.5, 1.5, 1])]).toEqual([1.5, -1.5, 0.5]);
    expect(() => scaleAdvantages([1], [1, 2])).toThrow(expect.objectContaining({ code: "shape" }));
  });
});
