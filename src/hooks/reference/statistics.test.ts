import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { type AttentionMap, attentionMap, mapOfWeights } from "./attention-map.js";
import { golden } from "./golden-case.js";
import {
  downsampled,
  frobenius,
  headDiversity,
  localFocus,
  meanDistance,
  meanMap,
  receiverKurtosis,
  sinkRate,
} from "./map-statistics.js";
import {
  futureInfluence,
  receivedCount,
  receivedMax,
  receivedMean,
  receivedSum,
} from "./received-statistics.js";
import {
  argmaxKey,
  diagonal,
  rowDistance,
  rowEntropy,
  rowMass,
  rowSquares,
  topKeys,
  windowedDistance,
} from "./row-statistics.js";

const TOLERANCE = 1e-10;

describe("statistics of a causal map", () => {
  const { params, tokensFirst, tensor } = golden<{ H: number; N: number }>("attention_stats");
  const inputs = { q: tokensFirst("input.q"), k: tokensFirst("input.k"), causal: true };
  const maps = Array.from({ length: params.H }, (_, h) => attentionMap(inputs, 0, h));
  const total = (values: Float64Array) => values.reduce((a, b) => a + b);

  it.each<[string, (map: AttentionMap) => ArrayLike<number>]>([
    ["received_mean", receivedMean],
    ["received_sum", receivedSum],
    ["received_max", receivedMax],
    ["row_entropy", rowEntropy],
    ["entropy_total", (map) => [total(rowEntropy(map))]],
    ["frobenius", (map) => [frobenius(map)]],
    ["first_token", (map) => [receivedMean(map)[0]!]],
    ["local_focus", (map) => [0, 1, 2, 3].map((n) => localFocus(map, n))],
    ["mean_distance", (map) => [meanDistance(map)]],
    ["lse", (map) => map.lse],
    ["diagonal", diagonal],
    ["receiver_kurtosis", (map) => [receiverKurtosis(map)]],
  ])("%s", (name, statistic) => {
    const actual = maps.flatMap((map) => Array.from(statistic(map)));
    expect(difference(actual, tensor(`expect.${name}`)).maxAbsolute).toBeLessThan(TOLERANCE);
  });

  it("head diversity and sink rate", () => {
    expect(headDiversity(maps)).toBeCloseTo(tensor("expect.head_diversity")[0]!, 12);
    const { isSinkHead, rate } = sinkRate(maps);
    expect(isSinkHead.map(Number)).toEqual(Array.from(tensor("expect.sink_heads_eps0.3")));
    expect(rate).toBe(tensor("expect.sink_rate_eps0.3")[0]);
  });

  it("keep their sums when made small", () => {
    const cells = downsampled(maps[0]!, 5, 7);
    for (let r = 0; r < 5; r++) expect(total(cells.slice(r * 7, (r + 1) * 7))).toBeCloseTo(1, 12);
    expect(downsampled(maps[0]!, params.N, params.N)).toEqual(maps[0]!.weights);
  });
});

describe("WAAD and FAI", () => {
  it("of single heads on given weights", () => {
    const { params, tensor, headValues } = golden<{
      N: number;
      prompt_len: number;
      windows: number[];
      horizons: [number, number][];
    }>("waad_fai_small");
    for (let h = 0; h < 2; h++) {
      const map = mapOfWeights(headValues("input.weights", h), params.N);
      const expected = (name: string) => Array.from(tensor(name)).slice(h * params.N, (h + 1) * params.N);
      for (const window of params.windows)
        expect(
          difference(windowedDistance(map, window), expected(`expect.waad_W${window}`)).maxAbsolute,
        ).toBeLessThan(TOLERANCE);
      for (const [low, high] of params.horizons) {
        const { values } = futureInfluence(map, low, high, { from: params.prompt_len });
        expect(difference(values, expected(`expect.fai_${low}_${high}`)).maxAbsolute).toBeLessThan(TOLERANCE);
      }
    }
  });

  it("of the mean maps of local and global heads", () => {
    const { params, tensor, tokensFirst } = golden<{
      L: number;
      H: number;
      N: number;
      W: number;
      prompt_len: number;
    }>("waad_fai");
    const inputs = { q: tokensFirst("input.q"), k: tokensFirst("input.k"), causal: true };
    const maps = Array.from({ length: params.L * params.H }, (_, index) =>
      attentionMap(inputs, Math.floor(index / params.H), index % params.H),
    );
    const from = params.prompt_len;
    const distances = maps.map((map) => meanDistance(map, from));
    expect(difference(distances, tensor("expect.mean_distance")).maxAbsolute).toBeLessThan(TOLERANCE);
    const group = (name: string) => meanMap(Array.from(tensor(name), (index) => maps[index]!));
    const waad = windowedDistance(group("expect.local_heads"), params.W).subarray(from);
    expect(difference(waad, tensor("expect.waad")).maxAbsolute).toBeLessThan(TOLERANCE);
    const global = group("expect.global_heads");
    for (const [low, high, name] of [
      [10, 50, "10_50"],
      [10, 100, "10_100"],
      [0, 80, "all"],
    ] as const) {
      const { values, counts } = futureInfluence(global, low, high, { from });
      expect(difference(values, tensor(`expect.fai_${name}`)).maxAbsolute).toBeLessThan(TOLERANCE);
      if (name !== "all") expect([...counts]).toEqual(Array.from(tensor(`expect.count_${name}`)));
    }
    // Averaging and both statistics are linear, so that they may be averaged instead of the maps.
    const perHead = Array.from(tensor("expect.local_heads"), (index) =>
      windowedDistance(maps[index]!, params.W),
    );
    const averaged = perHead[0]!.map(
      (_, t) => perHead.reduce((sum, rows) => sum + rows[t]!, 0) / perHead.length,
    );
    expect(difference(averaged.subarray(from), waad).maxAbsolute).toBeLessThan(TOLERANCE);
  });
});

describe("statistics of small maps", () => {
  // Two queries at the end of three keys; the first sees two.
  const map = mapOfWeights([0.25, 0.75, 0, 0.5, 0.25, 0.25], 2);

  it.each<[string, ArrayLike<number>, number[]]>([
    ["mass over a range", rowMass(map, { range: [1, 9] }), [0.75, 0.5]],
    ["mass over keys, each once", rowMass(map, { keys: [0, 0, 7] }), [0.25, 0.5]],
    ["squares", rowSquares(map), [0.625, 0.375]],
    ["distance", rowDistance(map), [0.25, 1.25]],
    ["distance in a window", windowedDistance(map, 1), [0.25, 0.75]],
    ["counts", receivedCount(map), [2, 2, 1]],
    ["largest key", argmaxKey(map), [1, 0]],
    ["diagonal", diagonal(map), [0.75, 0.25]],
    ["future influence", futureInfluence(map, 1, 2).values, [0.375, 0.25, 0]],
  ])("%s", (_name, actual, expected) => {
    expect(difference(actual, expected).maxAbsolute).toBeLessThan(1e-15);
  });

  it("the keys with most weight, equals by position, −1 where there are none", () => {
    const { keys, weights } = topKeys(map, 3);
    expect([...keys]).toEqual([1, 0, -1, 0, 1, 2]);
    expect(weights[2]).toBe(0);
    expect(argmaxKey(mapOfWeights([0, 0], 1))[0]).toBe(-1);
  });
});
