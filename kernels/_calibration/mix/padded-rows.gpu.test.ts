/** Rows of other widths than whole vec4: what passes bind as vec4 must end with a whole one, wherever a driver keeps accesses within bounds. */
import { describe, expect, it } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import { runIntervention } from "../../../test/support/intervention-run.js";
import { planAttentionMix } from "./index.js";
import type { HeadSteps } from "./types.js";

const steps: HeadSteps = new Map([
  [0, [{ kind: "mix", target: "meanQuery", u: 0.5 }]],
  [1, [{ kind: "mix", target: "uniform", u: 0.5 }]],
]);
const IN_VEC4 = ["chunk_sums", "sums", "value_sums", "mean_out"];

describe("memory between passes", () => {
  it.each<[string, object]>([
    ["causal", { causal: true }],
    ["neither causal nor running", { window: { left: 3, right: 3 } }],
    ["one mean query", {}],
    ["queries that are copied", { window: { left: 3, right: 3 }, scoreMod: { wgsl: "return score;" } }],
  ])("holds whole rows of vec4: %s", async (_, options) => {
    const ctx = await testContext();
    const [batches, tokens, heads, headDim, valueDim] = [1, 3, 2, 5, 3];
    const q = { dtype: "f16", shape: [batches, tokens, heads, headDim] } as const;
    const v = { dtype: "f16", shape: [batches, tokens, heads, valueDim] } as const;
    const plan = await planAttentionMix(ctx, { ...options, q, k: q, v, heads: steps });
    const bound = plan.passes.flatMap(({ bindings }) =>
      IN_VEC4.flatMap((name) => {
        const source = bindings[name];
        return source && "buffer" in source ? [source.buffer.size] : [];
      }),
    );
    plan.destroy();
    expect(bound.length).toBeGreaterThan(0);
    for (const size of bound) expect(size % 16).toBe(0);
  });

  it("is enough for a mean query of one head, whose output is smaller than a vec4", async () => {
    const errors = await runIntervention(await testContext(), {
      ...{ tokensQ: 6, heads: 1, headDim: 3, valueDim: 3 },
      operations: new Map([[0, { kind: "mix", target: "meanQuery", u: 0.5 }]]),
    });
    expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
  });

  it.each([1, 7])("keeps the last row of the last head, of %i tokens", async (tokensQ) => {
    const errors = await runIntervention(await testContext(), {
      ...{ tokensQ, tokensK: 9, batches: 2, heads: 2, headDim: 7, valueDim: 5, options: { causal: true } },
      operations: new Map([
        [0, { kind: "mix", target: "meanQuery", u: 0.6 }],
        [
          1,
          [
            { kind: "mix", target: "meanQuery", u: 0.5 },
            { kind: "mix", target: "uniform", u: 0.4 },
          ],
        ],
      ]),
    });
    expect(errors.out).toBeLessThanOrEqual(errors.outTolerance);
  });
});
