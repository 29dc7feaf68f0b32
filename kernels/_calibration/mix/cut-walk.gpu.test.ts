/** Rows that walk over their keys, a few keys in each dispatch. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { HeadOperation } from "../../../src/hooks/index.js";
import { AttentionContext } from "../../../src/index.js";
import { testDevice } from "../../../test/support/gpu.js";
import { runIntervention } from "../../../test/support/intervention-run.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice(), { maxDispatchMs: 0.05 });
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

it("find the same best keys and numbers of keys", async () => {
  const towards = (target: "argmax" | "uniform" | "identity", path?: "logLinear"): HeadOperation => ({
    ...{ kind: "mix", target, u: 0.6 },
    ...(path && { path }),
  });
  const listed: readonly (readonly HeadOperation[])[] = [
    [towards("argmax")],
    // Among equals the first that the row sees.
    [{ kind: "scale", logits: 0 }, towards("argmax")],
    [towards("uniform")],
    [towards("identity", "logLinear")],
    [towards("identity")],
  ];
  const { out, outTolerance } = await runIntervention(ctx, {
    ...{ tokensQ: 3, tokensK: 150, heads: listed.length, headDim: 4 },
    options: { causal: true, keyMask: Array.from({ length: 150 }, (_, j) => (j % 5 === 2 ? 0 : 1)) },
    operations: new Map(listed.map((operations, head) => [head, operations] as const)),
  });
  expect(out).toBeLessThanOrEqual(outTolerance);
});
