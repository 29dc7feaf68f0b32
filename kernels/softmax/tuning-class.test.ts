import { describe, expect, test } from "vitest";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { checkProblem, type SoftmaxProblem } from "./problem.js";
import { softmaxClass } from "./tuning-class.js";

const capabilities = minimumCapabilities();
const layout = { dtype: "f32", shape: [1, 60, 4, 64] } as const;
const keyOf = (options: Partial<SoftmaxProblem> = {}) =>
  softmaxClass(checkProblem({ q: layout, k: layout, v: layout, ...options }, capabilities), capabilities)
    .problem;
const sized = (tokens: number, heads = 4, dim = 64): Partial<SoftmaxProblem> => {
  const one = { dtype: "f32", shape: [1, tokens, heads, dim] } as const;
  return { q: one, k: one, v: one };
};

describe("a class of problems", () => {
  test.each<[string, Partial<SoftmaxProblem>, Partial<SoftmaxProblem>]>([
    ["lengths within a factor of two", sized(33), sized(64)],
    ["heads within a factor of two", sized(60, 3), sized(60, 4)],
    ["scales", {}, { scale: 7 }],
    ["slopes", { alibiSlopes: [1, 1, 1, 1] }, { alibiSlopes: [1, 2, 3, 4] }],
    ["windows within a factor of two", { window: { left: 8 } }, { window: { left: 15 } }],
    ["windows as wide as the keys", { window: { left: 200 } }, { window: { left: 99 } }],
  ])("takes in %s", (_name, one, other) => {
    const [first, second] = [one, other].map((options) => keyOf(options));
    const groups = / group \d+,?/;
    expect(first!.replace(groups, "")).toBe(second!.replace(groups, ""));
  });

  test.each<[string, Partial<SoftmaxProblem>, Partial<SoftmaxProblem>]>([
    ["head dimensions", {}, sized(60, 4, 65)],
    ["lengths", {}, sized(65)],
    ["sinks", {}, { sinkLogits: [1, 1, 1, 1] }],
    ["rotated channels", { rope: {} }, { rope: { dim: 32 } }],
    ["pairs of channels", { rope: {} }, { rope: { interleaved: true } }],
    ["causal masks and windows ahead", { causal: true }, { window: { right: 4 } }],
    ["windows ahead", { window: { right: 4 } }, { window: { right: 40 } }],
    ["windows behind", { window: { left: 4 } }, { window: { left: 40 } }],
    ["soft caps", {}, { softcap: 30 }],
    [
      "axes of a bias",
      { bias: { dtype: "f32", shape: [1, 4, 60, 60] } },
      { bias: { dtype: "f32", shape: [1, 1, 1, 60] } },
    ],
    ["a bias of one number from none", {}, { bias: { dtype: "f32", shape: [1, 1, 1, 1] } }],
  ])("tells apart %s", (_name, one, other) => {
    expect(keyOf(one)).not.toBe(keyOf(other));
  });
});
