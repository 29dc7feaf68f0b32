import { describe, expect, it, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { planLinearAttention, planLinearAttentionBackward } from "./index.js";
import { checkLinear, checkLinearBackward } from "./problem.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const x = layout(2, 5, 3, 8);
const v = layout(2, 5, 3, 6);
const plain = { q: x, k: x, v };
const s = layout(2, 3, 8, 6);
const z = layout(2, 3, 8, 1);
const any = (problem: object) => problem as never;

describe("wrong problems are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { decays: [1, 1, 1] }, "unsupported", /decays/],
    ["k of another length", { k: layout(2, 4, 3, 8) }, "shape", /k\.shape\[1\].*5/],
    ["v of other heads", { v: layout(2, 5, 2, 6) }, "shape", /v\.shape\[2\].*3/],
    ["v of another type", { v: { ...v, dtype: "f16" } }, "dtype", /v\.dtype/],
    ["wide heads", { q: layout(2, 5, 3, 257), k: layout(2, 5, 3, 257) }, "unsupported", /256/],
    ["a rate for each token", { decay: [1, 1, 1, 1, 1] }, "shape", /decay.*3 values/],
    ["a negative rate", { decay: [0, -0.1, 0] }, "shape", /decay\[1\]/],
    ["a rate that is no number", { decay: [0, Number.NaN, 0] }, "shape", /decay\[1\]/],
    ["an unknown feature map", { featureMap: "gelu" }, "unsupported", /identity, silu, elu\+1, relu/],
    ["a scale that is no number", { scale: Number.NaN }, "shape", /scale/],
    ["decay without a direction", { causal: false, decay: [0.1, 0, 0] }, "unsupported", /decay.*direction/],
    ["a state without a direction", { causal: false, state: { s } }, "unsupported", /state/],
    ["a state out without a direction", { causal: false, stateOut: true }, "unsupported", /stateOut/],
    ["a state of other heads", { state: { s: layout(2, 2, 8, 6) } }, "shape", /state\.s\.shape\[1\].*3/],
    ["a state in f16", { state: { s: { ...s, dtype: "f16" } } }, "dtype", /state\.s/],
    ["sums of keys without normaliser", { state: { s, z } }, "shape", /state\.z.*off/],
    ["a normaliser without sums of keys", { normalize: true, state: { s } }, "shape", /state\.z.*on/],
    ["a number as state", { state: 1 }, "shape", /state/],
    ["a q8 output", { out: { ...v, dtype: "q8" } }, "dtype", /out\.dtype/],
    ["an output of k's width", { out: x }, "shape", /out\.shape\[3\].*6/],
    ["normalize that is no boolean", { normalize: 1 }, "shape", /normalize/],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planLinearAttention(ctx, any({ ...plain, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test.each<[string, object, string, RegExp]>([
    ["no gradient of the output", {}, "shape", /dOut/],
    ["a gradient of another type", { dOut: { ...v, dtype: "f16" } }, "dtype", /dOut/],
    ["a normaliser", { dOut: v, normalize: true }, "unsupported", /normalize/],
    ["a gradient of another shape", { dOut: v, dk: v }, "shape", /dk\.shape\[3\].*8/],
    [
      "a state's gradient without a direction",
      { dOut: v, causal: false, dState: true },
      "unsupported",
      /dState/,
    ],
  ])("backward: %s", async (_name, changes, code, message) => {
    const planned = planLinearAttentionBackward(ctx, any({ ...plain, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("a tensor that no binding holds", () => {
    const long = layout(1, 2 ** 20, 1, 64);
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 20 });
    expect(() => checkLinear({ q: long, k: long, v: long }, small)).toThrowError(
      expect.objectContaining({ code: "limit" }),
    );
  });
});

it("fills in the defaults", () => {
  const shape = checkLinear(plain, capabilities);
  expect(shape).toMatchObject({
    causal: true,
    scale: 1,
    decay: [0, 0, 0],
    featureMap: "identity",
    normalize: false,
  });
  expect(shape.out).toEqual({ dtype: "f32", shape: [2, 5, 3, 6] });
  const half = { ...x, dtype: "f16" } as const;
  expect(checkLinear({ q: half, k: half, v: { ...v, dtype: "f16" } }, capabilities).out.dtype).toBe("f16");
  expect(checkLinear({ ...plain, normalize: true, stateOut: true }, capabilities).stateOut).toEqual({ s, z });
  expect(checkLinearBackward({ ...plain, dOut: v, dState: true }, capabilities)).toMatchObject({
    dq: { shape: x.shape },
    dk: { shape: x.shape },
    dv: { shape: v.shape },
    dState: s,
  });
});
