import { describe, expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { someInBrowser } from "../../test/support/some-in-browser.js";
import { FLOW_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

test.each(someInBrowser(FLOW_CASES))(
  "flow attention agrees with the float64 reference: $name",
  async (problem) => {
    const { error, tolerance } = await checkCase(await testContext(), problem);
    expect(error).toBeLessThanOrEqual(tolerance);
  },
);

describe("as planned for a GPU, in many dispatches and with scratch for two heads at a time", () => {
  const names = ["many chunks", "batches and heads", "padding", "causal padding", "D 65, Dv 130"];
  test.each(someInBrowser(FLOW_CASES.filter(({ name }) => names.includes(name))))(
    "$name",
    async (problem) => {
      const ctx = await testContext();
      const limits = { ...ctx.capabilities.limits };
      const capabilities = { ...ctx.capabilities, software: false, limits };
      const plain = await checkCase(ctx, problem, {
        capabilities,
        maxDispatchFlops: Number.POSITIVE_INFINITY,
      });
      expect(plain.error).toBeLessThanOrEqual(plain.tolerance);
      // Scratch of one head: features, sums of rows, matrices, products.
      const { tokensQ, tokensK, headDim, valueDim } = problem;
      const { causal } = problem.options;
      const rows = 64 * Math.ceil(Math.max(tokensQ, tokensK) / 64);
      const dim4 = Math.ceil(headDim / 4);
      const matrices = (rows / 64) * 64 * dim4 * Math.ceil(valueDim / 4);
      limits.maxStorageBufferBindingSize =
        2.5 * Math.max(64 * rows, 16 * rows * dim4, matrices, causal ? 320 * rows : 0);
      const cut = await checkCase(ctx, problem, { capabilities, maxDispatchFlops: 1e5 });
      expect(cut.error).toBeLessThanOrEqual(cut.tolerance);
      expect(cut.passes).toBeGreaterThan(plain.passes);
    },
  );
});
