/** Statistics on what every WebGPU device has, and no more: the guaranteed limits and no optional feature. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionContext } from "../../../src/index.js";
import { testDevice } from "../../../test/support/gpu.js";
import { checkStatisticsCase } from "../../../test/support/statistics-run.js";
import { SOFTMAX_CASES } from "../../softmax/cases.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

const CHOSEN = ["all options, tiled", "f16 f32, head dim 15"];

// Row terms take the last of the eight storage buffers.
test.each(SOFTMAX_CASES.filter(({ name }) => CHOSEN.includes(name)))("$name", async (problem) => {
  const errors = await checkStatisticsCase(ctx, {
    problem,
    rowTerms: true,
    statistics: {
      receivedMean: true,
      mass: [{ range: [1, 9] }],
      entropy: true,
      topKeys: 3,
      diagonals: [0],
      map: { rows: 2, columns: 3 },
    },
  });
  for (const [name, error] of Object.entries(errors)) expect(error, name).toBeLessThanOrEqual(1e-5);
});
