import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { golden } from "../reference/golden-case.js";
import {
  frobeniusNorm,
  futureInfluenceCounts,
  headValues,
  localFocus,
  meanDistance,
  receiverKurtosis,
  sinkRate,
} from "./head-statistics.js";

describe("numbers of heads", () => {
  const { params, tensor } = golden<{ H: number; N: number }>("attention_stats");
  const { H, N } = params;
  const means = Array.from({ length: H }, (_, h) =>
    Array.from(tensor("expect.received_mean")).slice(h * N, (h + 1) * N),
  );

  it("come from what keys receive", () => {
    const kurtosis = means.map((own) => receiverKurtosis(own));
    expect(difference(kurtosis, tensor("expect.receiver_kurtosis")).maxRelative).toBeLessThan(1e-10);
    const { isSinkHead, rate } = sinkRate(means);
    expect(isSinkHead.map(Number)).toEqual(Array.from(tensor("expect.sink_heads_eps0.3")));
    expect(rate).toBe(tensor("expect.sink_rate_eps0.3")[0]);
  });

  it("come from what rows have", () => {
    expect(frobeniusNorm([9, 16])).toBe(5);
    expect(meanDistance([1, 2, 6])).toBe(3);
    expect(meanDistance([1, 2, 6], 1)).toBe(4);
    const diagonal = Array.from(tensor("expect.diagonal")).slice(0, N);
    expect(localFocus(diagonal, 0, { keys: N })).toBeCloseTo(tensor("expect.local_focus")[0]!, 12);
    expect(localFocus([0, 0.5, 0.25], 1, { keys: 3 })).toBe(0.375);
    expect(localFocus([0.5, 0.25], 1, { keys: 3 })).toBe(0.375);
  });

  it("are taken out of a tensor", () => {
    expect([...headValues([0, 1, 2, 3, 4, 5], [1, 3, 2, 1], 1)]).toEqual([1, 3, 5]);
    expect([...headValues([0, 1, 2, 3, 4, 5, 6, 7], [2, 1, 2, 2], 1, 1)]).toEqual([6, 7]);
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => headValues([0, 1], [1, 1, 2, 1], 2)).toThrow(shape);
    expect(() => headValues([0], [1, 1, 2, 1], 0)).toThrow(shape);
  });

  it("refuse what makes no sense", () => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => headValues([0, 1], [1, 1, 2, 1], 0.5)).toThrow(shape);
    expect(() => meanDistance([1, 2], 2)).toThrow(shape);
    expect(() => localFocus([0.5, 0.25], 3, { keys: 2 })).toThrow(shape);
    expect(() => localFocus([0.5, 0.25], 0.5, { keys: 2 })).toThrow(shape);
    expect(() => futureInfluenceCounts(4, { low: 0, high: 1, offset: 0.5 })).toThrow(shape);
    expect(() => futureInfluenceCounts(4, { low: 0, high: 1, rows: -1 })).toThrow(shape);
    expect(() => sinkRate([])).toThrow(shape);
    expect(() => sinkRate([[0.5]], { key: 1 })).toThrow(shape);
    expect(() => sinkRate([[0.5]], { epsilon: -1 })).toThrow(shape);
  });
});

describe("futureInfluenceCounts", () => {
  it("counts the queries in the horizon", () => {
    const { params, tensor } = golden<{ N: number; prompt_len: number }>("waad_fai");
    const { N, prompt_len: from } = params;
    for (const high of [50, 100])
      expect([...futureInfluenceCounts(N, { low: 10, high, from })]).toEqual(
        Array.from(tensor(`expect.count_10_${high}`)),
      );
    expect([...futureInfluenceCounts(4, { low: 0, high: 1, rows: 2 })]).toEqual([0, 1, 2, 1]);
  });
});
