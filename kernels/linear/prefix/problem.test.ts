import { describe, expect, it, test } from "vitest";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import type { Shape4, TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { planPrefixSoftmaxAttention, prefixSoftmaxAttention, prefixSoftmaxStateShape } from "./index.js";
import { checkPrefixSoftmax } from "./problem.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const q = layout(2, 5, 4, 8);
const k = layout(2, 5, 2, 8);
const v = layout(2, 5, 2, 6);
const plain = { q, k, v };
const state = layout(...prefixSoftmaxStateShape(2, 4, 6));
const any = (problem: object) => problem as never;

describe("wrong problems are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["an option of another form", { causal: true }, "unsupported", /causal/],
    ["k of another batch", { k: layout(1, 5, 2, 8) }, "shape", /k\.shape\[0\].*2/],
    [
      "more keys than queries",
      { k: layout(2, 6, 2, 8), v: layout(2, 6, 2, 6) },
      "shape",
      /k\.shape\[1\].*own query/,
    ],
    ["k of another width", { k: layout(2, 5, 2, 4) }, "shape", /k\.shape\[3\].*8/],
    ["v of other heads", { v: layout(2, 5, 4, 6) }, "shape", /v\.shape\[2\].*2/],
    [
      "heads that do not divide",
      { k: layout(2, 5, 3, 8), v: layout(2, 5, 3, 6) },
      "shape",
      /divisor of the 4/,
    ],
    ["v of another type", { v: { ...v, dtype: "f16" } }, "dtype", /v\.dtype/],
    ["q8 keys", { k: { ...k, dtype: "q8" } }, "dtype", /k\.dtype/],
    ["wide heads", { q: layout(2, 5, 4, 257), k: layout(2, 5, 2, 257) }, "unsupported", /256/],
    ["wide values", { v: layout(2, 5, 2, 300) }, "unsupported", /v\.shape\[3\].*256/],
    ["a scale that is no number", { scale: Number.NaN }, "shape", /scale/],
    ["an unknown activation", { activation: "relu" }, "unsupported", /activation.*silu.*identity/],
    ["an output of k's heads", { out: v }, "shape", /out\.shape\[2\].*4/],
    ["a q8 output", { out: { ...layout(2, 5, 4, 6), dtype: "q8" } }, "dtype", /out\.dtype/],
    ["too few lengths", { keyLengths: [5] }, "shape", /keyLengths.*2 values/],
    ["a length past the end", { keyLengths: [5, 6] }, "shape", /keyLengths\[1\].*0 to 5/],
    ["a state of other heads", { state: layout(2, 1, 2, 12) }, "shape", /state\.shape\[2\]/],
    ["a state of another width", { stateOut: layout(2, 1, 4, 10) }, "shape", /stateOut\.shape\[3\]/],
    ["a state in f16", { state: { ...state, dtype: "f16" } }, "dtype", /state\.dtype/],
    ["a state at an odd place", { state: { ...state, offset: 2 } }, "shape", /multiples of four/],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planPrefixSoftmaxAttention(ctx, any({ ...plain, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("layouts without a buffer, in a call", async () => {
    const call = prefixSoftmaxAttention(ctx, any(q), any(k), any(v));
    await expect(call).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(/q\.buffer/) });
  });
});

it("fills in the defaults", () => {
  const shape = checkPrefixSoftmax(plain, capabilities);
  expect(shape).toMatchObject({ activation: "silu", scale: 1 / Math.sqrt(8), group: 2 });
  expect(shape.out).toEqual({ dtype: "f32", shape: [2, 5, 4, 6] });
  expect(checkPrefixSoftmax({ ...plain, stateOut: true }, capabilities).stateOut).toEqual(state);
});

it("states hold whole vec4", () => {
  expect(prefixSoftmaxStateShape(2, 3, 8)).toEqual([2, 1, 3, 12]);
  expect(prefixSoftmaxStateShape(1, 1, 5)).toEqual([1, 1, 1, 12]);
});
