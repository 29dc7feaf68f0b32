// Parts of Deconstructing Attention (arXiv 2510.11602) against the vectors of its formulas, which are read from files.
import { expect, test } from "vitest";
import { prefixSoftmaxAttention } from "../../kernels/linear/index.js";
import { prefixSoftmaxReference } from "../../kernels/linear/prefix/reference.js";
import { softmaxAttention, taylorMod } from "../../kernels/softmax/index.js";
import { golden } from "../../src/hooks/reference/golden-case.js";
import { difference } from "../support/compare.js";
import { testContext } from "../support/gpu.js";

const TOLERANCE = 1e-5;
const { tokensFirst } = golden("decon_variants");

async function uploaded() {
  const ctx = await testContext();
  const upload = (name: string) => {
    const { data, shape } = tokensFirst(`input.${name}`);
    return ctx.fromArray(data, shape);
  };
  return { ctx, q: upload("q_raw"), k: upload("k"), v: upload("v") };
}

test("prefix softmax is the formula of the non-approximate form", async () => {
  const { ctx, q, k, v } = await uploaded();
  const expected = tokensFirst("expect.nonapprox64").data;
  const reference = prefixSoftmaxReference({
    q: tokensFirst("input.q_raw") as never,
    k: tokensFirst("input.k") as never,
    v: tokensFirst("input.v") as never,
  });
  expect(difference(reference, expected).maxAbsolute).toBeLessThan(1e-10);
  const { out } = await prefixSoftmaxAttention(ctx, q, k, v);
  expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
});

test("Taylor weights are those of the paper's equation 6", async () => {
  const { ctx, q, k, v } = await uploaded();
  const { out } = await softmaxAttention(ctx, q, k, v, { causal: true, scoreMod: taylorMod() });
  const { maxRelative } = difference(await ctx.read(out), tokensFirst("expect.taylor_joint64").data);
  expect(maxRelative).toBeLessThanOrEqual(TOLERANCE);
});
