import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import type { HeadOperation, MixPath } from "../operations.js";
import { attend, attentionMap } from "./attention-map.js";
import { headRows } from "./dense-tensor.js";
import { golden } from "./golden-case.js";
import { interventionReference } from "./intervene.js";

/** The output of a golden case with one operation on its listed heads, against an expected tensor [B, H, N, D]. */
function errorOf(
  { tensor, tokensFirst, headValues }: ReturnType<typeof golden>,
  operation: HeadOperation,
  expected: string,
  { causal = false, entry = 0 } = {},
): number {
  const [q, k, v] = ["q", "k", "v"].map((name) => tokensFirst(`input.${name}`)) as [never, never, never];
  const heads = new Map(Array.from(tensor("input.heads"), (head) => [head, operation] as const));
  const { maps } = interventionReference({ q, k, v, causal, heads });
  return Math.max(
    ...maps[0]!.map((map, h) => {
      const out = attend(map, headRows(v, 0, h)).flatMap((row) => [...row]);
      return difference(out, headValues(expected, h, entry)).maxAbsolute;
    }),
  );
}

const towards = (
  target: Extract<HeadOperation, { kind: "mix" }>["target"],
  u: number,
  path?: MixPath,
): HeadOperation => ({ kind: "mix", target, u, path });

describe("SoftPAG", () => {
  const identity = golden("softpag_identity");

  it.each([...Array.from(identity.tensor("input.u")).entries()])("entry %d: u = %d", (entry, u) => {
    expect(errorOf(identity, towards("identity", u), "expect.out64", { entry })).toBeLessThan(1e-10);
  });

  const variants = golden("softpag_variants");
  it.each<[string, HeadOperation]>([
    ["uniform_u0.5", towards("uniform", 0.5)],
    ["seg_u0.5", towards("meanQuery", 0.5)],
    ["seg_u1.0", towards("meanQuery", 1)],
    ["fisher_rao_u0.25", towards("identity", 0.25, "fisherRao")],
    ["fisher_rao_u0.5", towards("identity", 0.5, "fisherRao")],
    ["fisher_rao_slerp_u0.25", towards("identity", 0.25, "slerp")],
    ["fisher_rao_slerp_u0.5", towards("identity", 0.5, "slerp")],
    ["temperature=2.0_u1.0", { kind: "scale", logits: 2 }],
    ["temperature=0.5_u1.0", { kind: "scale", logits: 0.5 }],
    ["argmax_u1.0", towards("argmax", 1)],
  ])("goes to other targets and by other paths: %s", (name, operation) => {
    expect(errorOf(variants, operation, `expect.out64.${name}`)).toBeLessThan(1e-9);
  });

  // The authors' code clamps weights at 1e-12.
  it.each([0.25, 0.5])("goes log-linearly, u = %d", (u) => {
    const error = errorOf(variants, towards("identity", u, "logLinear"), `expect.out64.log_linear_u${u}`);
    expect(error).toBeLessThan(1e-5);
  });
});

describe("causal replacement of heads", () => {
  const causal = golden("headmask_causal");

  it.each<[string, HeadOperation]>([
    ["identity_u0.25", towards("identity", 0.25)],
    ["identity_u1.0", towards("identity", 1)],
    ["uniform_u1.0", towards("uniform", 1)],
    ["zero", towards("zero", 1)],
  ])("%s", (name, operation) => {
    expect(errorOf(causal, operation, `expect.out64.${name}`, { causal: true })).toBeLessThan(1e-10);
  });

  it("gives the literal 1 / N by a gain on the prefix mean, row by row", () => {
    const v = causal.tokensFirst("input.v");
    const [q, k] = [causal.tokensFirst("input.q"), causal.tokensFirst("input.k")];
    const { maps } = interventionReference({
      q,
      k,
      v,
      causal: true,
      heads: new Map([[1, towards("uniform", 1)]]),
    });
    const rows = attend(maps[0]![1]!, headRows(v, 0, 1));
    const literal = rows.flatMap((row, i) => [...row].map((x) => (x * (i + 1)) / 24));
    const expected = causal.headValues("expect.out64.uniform_literal_1_over_N_u1.0", 1);
    expect(difference(literal, expected).maxAbsolute).toBeLessThan(1e-10);
  });

  it("takes the mean of the queries so far", () => {
    const inputs = { q: causal.tokensFirst("input.q"), k: causal.tokensFirst("input.k"), causal: true };
    const v = causal.tokensFirst("input.v");
    const at = (tokens: number) => {
      const cut = <T extends typeof v>(x: T) => ({
        data: Array.from(x.data).slice(0, tokens * 4 * 16),
        shape: [1, tokens, 4, 16] as const,
      });
      return interventionReference({
        q: cut(inputs.q),
        k: cut(inputs.k),
        v: cut(v),
        causal: true,
        heads: new Map([[0, towards("meanQuery", 0.7)]]),
      }).out;
    };
    // What comes later changes nothing before.
    expect(difference(at(24).subarray(0, 10 * 64), at(10)).maxAbsolute).toBeLessThan(1e-14);
  });
});

describe("mixes that change nothing", () => {
  const { tokensFirst } = golden("headmask_causal");
  const inputs = {
    q: tokensFirst("input.q"),
    k: tokensFirst("input.k"),
    v: tokensFirst("input.v"),
    causal: true,
  };
  const plain = attentionMap(inputs, 0, 0).weights;
  const weightsAfter = (operation: HeadOperation, more = {}) =>
    interventionReference({ ...inputs, ...more, heads: new Map([[0, operation]]) }).maps[0]![0]!.weights;

  it.each<HeadOperation>([
    ...(["identity", "uniform", "meanQuery", "argmax", "zero"] as const).map((target) => towards(target, 0)),
    ...(["fisherRao", "slerp", "logLinear"] as const).map((path) => towards("identity", 0, path)),
    { kind: "scale", logits: 1 },
    { kind: "gain", output: 1 },
    { kind: "bias", keys: new Float32Array(24), rows: "all" },
  ])("bit by bit: %j", (operation) => {
    expect(weightsAfter(operation)).toEqual(plain);
  });

  it("keep rows that do not see themselves, or anything", () => {
    const masked = { keyMask: Array.from({ length: 24 }, (_, j) => (j === 5 ? 0 : 1)) };
    const before = attentionMap({ ...inputs, ...masked }, 0, 0).weights;
    for (const path of ["linear", "fisherRao", "slerp", "logLinear"] as const) {
      const weights = weightsAfter(towards("identity", 0.5, path), masked);
      expect(weights.subarray(5 * 24, 6 * 24)).toEqual(before.subarray(5 * 24, 6 * 24));
    }
    const nothing = { keyStarts: [24] };
    for (const target of ["identity", "uniform", "argmax"] as const)
      expect(weightsAfter(towards(target, 1), nothing).every((weight) => weight === 0)).toBe(true);
  });

  it("keep row sums, on every path", () => {
    for (const path of ["linear", "fisherRao", "slerp", "logLinear"] as const) {
      for (const u of [0.3, 1]) {
        const weights = weightsAfter(towards("identity", u, path), { sinkLogits: [0, 0, 0, 0] });
        const before = attentionMap({ ...inputs, sinkLogits: [0, 0, 0, 0] }, 0, 0).weights;
        const sum = (of: Float64Array) => of.subarray(7 * 24, 8 * 24).reduce((a, b) => a + b);
        if (path !== "linear") expect(sum(weights)).toBeCloseTo(sum(before), 12);
        else expect(sum(weights)).toBeCloseTo((1 - u) * sum(before) + u, 12);
      }
    }
  });
});
