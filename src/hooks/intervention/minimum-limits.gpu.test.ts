/** What every WebGPU device has, and no more: the guaranteed limits, eight storage buffers among them, and no optional feature. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { testDevice } from "../../../test/support/gpu.js";
import { runIntervention } from "../../../test/support/intervention-run.js";
import { AttentionContext } from "../../index.js";
import type { HeadOperation } from "../operations.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

test("operations on heads need no more than every device has", async () => {
  const softPag: HeadOperation = { kind: "mix", target: "identity", u: 0.4 };
  const listed: readonly HeadOperation[][] = [
    [softPag],
    [{ kind: "mix", target: "uniform", u: 0.4 }],
    [{ kind: "mix", target: "meanQuery", u: 0.4 }],
    [{ kind: "mix", target: "argmax", u: 0.4 }],
    [{ ...softPag, path: "slerp" }],
    [{ ...softPag, path: "logLinear" }],
    [softPag, attentionCalibration({ theta: 0.1 })],
    [],
  ];
  const { out, outTolerance } = await runIntervention(ctx, {
    ...{ tokensQ: 18, batches: 2, heads: listed.length, headDim: 8, spread: 2 },
    options: { causal: true, keyLengths: [18, 13], sinkLogits: listed.map((_, h) => 0.1 * h) },
    operations: new Map(listed.map((operations, head) => [head, operations] as const)),
  });
  expect(out).toBeLessThanOrEqual(outTolerance);
});
