/** What every WebGPU device has, and no more: eight storage buffers among it. */
import { expect, it } from "vitest";
import { AttentionContext } from "../../../src/index.js";
import { testDevice } from "../../../test/support/gpu.js";
import { planAttentionMix } from "./index.js";
import type { HeadSteps } from "./types.js";

it("writes row terms beside mean queries, log-linear and curved paths within minimum limits", async () => {
  const ctx = await AttentionContext.create(await testDevice({}));
  const curve = { kind: "mix", target: "identity", u: 0.3, path: "slerp" } as const;
  const heads: HeadSteps = new Map([
    [0, [{ kind: "mix", target: "meanQuery", u: 0.5 }, curve]],
    [1, [{ ...curve, path: "logLinear" }, curve]],
    [2, [{ kind: "mix", target: "argmax", u: 0.5 }, curve]],
  ]);
  const layout = { dtype: "f32", shape: [1, 6, 3, 4] } as const;
  const plan = await planAttentionMix(ctx, {
    ...{ q: layout, k: layout, v: layout, causal: true, sinkLogits: [0, 1, 2] },
    ...{ heads, rowTerms: true },
  });
  const most = plan.passes.map(
    ({ bindings }) => Object.values(bindings).filter((source) => !("unused" in source)).length,
  );
  expect(Math.max(...most)).toBe(8);
  plan.destroy();
  ctx.destroy();
  ctx.device.destroy();
});
