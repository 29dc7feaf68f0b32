import { describe, expect, it } from "vitest";
import type { HeadOperation } from "../operations.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";
import { checkOperation } from "./check-operation.js";
import { headScoreMod } from "./score-mod.js";

const bias = { kind: "bias", keys: [1, 2], rows: "all" } as const;
const mix = { kind: "mix", target: "identity", u: 0.5 } as const;

describe("checkOperation", () => {
  it.each<[HeadOperation]>([
    [{ kind: "scale", logits: -3 }],
    [bias],
    [{ ...bias, keys: new Float32Array(2), rows: { from: 3 } }],
    [{ ...mix, path: "slerp" }],
    [{ ...mix, target: "uniform", path: "linear" }],
    [{ kind: "gain", output: 0 }],
    [attentionCalibration()],
  ])("takes %j", (operation) => {
    expect(() => checkOperation("it", operation)).not.toThrow();
  });

  it.each<[string, string, unknown]>([
    ["nothing", "unsupported", undefined],
    ["another kind", "unsupported", { kind: "toString" }],
    ["rows of a scale", "unsupported", { kind: "scale", logits: 2, rows: "last" }],
    ["a scale of a bias", "unsupported", { ...bias, scale: 3 }],
    ["a misspelt option", "unsupported", { ...mix, paths: "slerp" }],
    ["a misspelt option of rows", "unsupported", { ...bias, rows: { from: 1, to: 3 } }],
    ["a misspelt option of a shift", "unsupported", { ...attentionCalibration(), keeps: 1 }],
    ["a bias without keys", "shape", { kind: "bias", rows: "all" }],
    ["a bias without rows", "shape", { kind: "bias", keys: [0] }],
    ["other rows of zeros", "shape", { kind: "bias", keys: [0], rows: "first" }],
    ["a bias that is no number", "shape", { ...bias, keys: [0, Number.NaN] }],
    ["a bias that f32 cannot hold", "shape", { ...bias, keys: [0, 1e39] }],
    ["a scale that f32 cannot hold", "shape", { kind: "scale", logits: 1e39 }],
    ["a gain that f32 cannot hold", "shape", { kind: "gain", output: -1e39 }],
    ["a strength above 1", "shape", { ...mix, u: 2 }],
    ["another target", "unsupported", { ...mix, target: "inverse" }],
    ["another path", "unsupported", { ...mix, path: "spiral" }],
    ["a path to another target", "unsupported", { ...mix, target: "zero", path: "slerp" }],
    [
      "a shift without a rule, though it keeps everything",
      "shape",
      { ...attentionCalibration(), keep: 1, sinks: 7 },
    ],
    ["a share above 1", "shape", { ...attentionCalibration(), keep: 1.5 }],
  ])("refuses %s", (_, code, operation) => {
    expect(() => checkOperation("it", operation as never)).toThrow(expect.objectContaining({ code }));
  });
});

describe("headScoreMod", () => {
  const sizes = { heads: 1, tokensQ: 2, tokensK: 2 };
  const wordsOf = (
    ...operations: Parameters<typeof headScoreMod>[0][number] extends ReadonlyMap<number, infer L>
      ? L[]
      : never
  ) => headScoreMod([new Map([[0, operations.flat()]])], sizes)!.bindings!.head_scores!.data as number[];

  it.each([
    [2 ** 31, 2 ** 30],
    [-(2 ** 31), -(2 ** 30)],
    [7, 7],
  ])("takes rows from position %i on as those from %i on", (from, least) => {
    expect(wordsOf([{ ...bias, rows: { from } }])[2]! | 0).toBe(least);
  });

  it("refuses products that f32 cannot hold", () => {
    const large = { kind: "scale", logits: 1e30 } as const;
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => wordsOf([large, large])).toThrow(shape);
    expect(() => wordsOf([{ ...bias, keys: [1e30, 0] }, large])).toThrow(shape);
  });
});
