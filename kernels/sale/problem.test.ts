import { describe, expect, it, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { calibrateSale, planSaleAttention, saleAttention } from "./index.js";
import { checkProblem } from "./problem.js";
import { thresholdsTable } from "./thresholds.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU but to ask whether it lives throws something that is no AttentionError. */
const ctx = { capabilities, assertAlive: async () => {} } as unknown as AttentionContext;

const q = layout(2, 300, 4, 8);
const k = layout(2, 300, 2, 8);
const v = layout(2, 300, 2, 6);
const plain = { q, k, v, thresholds: 0.004 };
const any = (problem: object) => problem as never;

describe("wrong problems are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { treshold: 1 }, "unsupported", /treshold/],
    ["an option of softmax attention", { window: { left: 3 } }, "unsupported", /window/],
    ["k of another batch", { k: layout(1, 300, 2, 8) }, "shape", /k\.shape\[0\].*2/],
    ["a cache longer than the queries", { k: layout(2, 301, 2, 8) }, "shape", /k\.shape\[1\].*decoding/],
    ["k of another width", { k: layout(2, 300, 2, 4) }, "shape", /k\.shape\[3\].*8/],
    [
      "key heads that do not divide",
      { k: layout(2, 300, 3, 8), v: layout(2, 300, 3, 6) },
      "shape",
      /q\.shape\[2\]/,
    ],
    ["v of another length", { v: layout(2, 299, 2, 6) }, "shape", /v\.shape\[1\].*300/],
    ["v of other heads", { v: layout(2, 300, 4, 6) }, "shape", /v\.shape\[2\].*2/],
    ["v of another type", { v: { ...v, dtype: "f16" } }, "dtype", /v\.dtype/],
    ["k of another type", { k: { ...k, dtype: "f16" } }, "dtype", /k\.dtype/],
    ["q8 keys", { k: { ...k, dtype: "q8" } }, "dtype", /k\.dtype/],
    ["wide heads", { q: layout(2, 300, 4, 257), k: layout(2, 300, 2, 257) }, "unsupported", /256/],
    ["a block that no kernel has", { blockK: 48 }, "unsupported", /blockK.*16, 32 or 64/],
    ["a segment that cuts a block", { segment: 40 }, "shape", /segment.*multiple of 32/],
    ["no segment", { segment: 0 }, "shape", /segment/],
    ["a local window that cuts a block", { localWindow: 100 }, "shape", /localWindow.*multiple of 32/],
    ["a local window short of the diagonal", { localWindow: 32 }, "shape", /localWindow.*at least 64/],
    ["a scale of zero", { scale: 0 }, "shape", /scale.*above 0/],
    ["an output of another width", { out: q }, "shape", /out\.shape\[3\].*6/],
    ["an output of another type", { out: { ...layout(2, 300, 4, 6), dtype: "f16" } }, "dtype", /out\.dtype/],
    ["an lse of another shape", { lse: layout(2, 300, 2, 1) }, "shape", /lse\.shape\[2\]/],
    ["too few thresholds", { thresholds: [0.1, 0.1] }, "shape", /thresholds.*4 values/],
    [
      "thresholds of the key heads",
      { thresholds: new Float32Array(2) },
      "shape",
      /thresholds.*4 values.*query head/,
    ],
    ["no thresholds", { thresholds: undefined }, "shape", /thresholds/],
    ["a negative threshold", { thresholds: [0.1, -1, 0.1, 0.1] }, "shape", /thresholds\[1\]/],
    ["a threshold that f32 cannot hold", { thresholds: 1e39 }, "shape", /thresholds\[0\]/],
    ["a threshold that is no number", { thresholds: Number.NaN }, "shape", /thresholds\[0\]/],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planSaleAttention(ctx, any({ ...plain, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("layouts without a buffer, in a call", async () => {
    const call = saleAttention(ctx, any(q), any(k), any(v), { thresholds: 0.004 });
    await expect(call).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(/q\.buffer/) });
  });

  it("memory that no binding holds", async () => {
    const tall = (heads: number) => layout(1, 2 ** 17, heads, 8);
    const problem = { q: tall(32), k: tall(1), v: tall(1), thresholds: 0.004 };
    await expect(planSaleAttention(ctx, any(problem))).rejects.toMatchObject({
      code: "limit",
      message: expect.stringMatching(/lists/),
    });
  });

  test.each<[string, object, RegExp]>([
    ["no start", { start: 0 }, /start/],
    ["an error bound below zero", { errorBound: -1 }, /errorBound/],
    ["no samples", {}, /samples/],
  ])("a calibration with %s", async (_name, options, message) => {
    const calibrating = calibrateSale(ctx, [], options);
    await expect(calibrating).rejects.toMatchObject({
      code: "shape",
      message: expect.stringMatching(message),
    });
  });

  it("a calibration on what SALE does not take", async () => {
    const samples = [{ q, k: { ...k, dtype: "f16" as const }, v }];
    await expect(calibrateSale(ctx, any(samples))).rejects.toMatchObject({ code: "dtype" });
    await expect(calibrateSale(ctx, any([{ layer: 0.5, q, k, v }]))).rejects.toMatchObject({ code: "shape" });
  });

  it("a calibration with an unknown option", async () => {
    await expect(calibrateSale(ctx, [], any({ tau: 1 }))).rejects.toMatchObject({ code: "unsupported" });
  });
});

it("fills in the defaults", () => {
  const shape = checkProblem(plain, capabilities);
  expect(shape).toMatchObject({ blockK: 32, segmentBlocks: 4, localBlocks: 4, scale: 8 ** -0.5 });
  expect(shape.out).toEqual({ dtype: "f32", shape: [2, 300, 4, 6] });
  expect(checkProblem({ ...plain, lse: true }, capabilities).lse).toMatchObject({
    strides: [1200, 1, 300, 1],
  });
});

it("gives every head a threshold", () => {
  const floats = (thresholds: number | readonly number[]) =>
    [...new Float32Array(thresholdsTable(2, thresholds).values.buffer)].map((value) =>
      Number(value.toFixed(4)),
    );
  expect(floats(0.004)).toEqual([0.004, 0.004]);
  expect(floats([0, 0.5])).toEqual([0, 0.5]);
});
