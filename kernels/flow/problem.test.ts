import { describe, expect, it, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { flowAttention, flowStateShape, planFlowAttention } from "./index.js";
import { checkProblem } from "./problem.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const x = layout(2, 5, 3, 8);
const v = layout(2, 5, 3, 6);
const plain = { q: x, k: x, v };
const state = layout(...flowStateShape(2, 3, 8, 6));
const any = (problem: object) => problem as never;

describe("wrong problems are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { casual: true }, "unsupported", /casual/],
    ["an option of softmax attention", { scale: 1 }, "unsupported", /scale/],
    ["k of another batch", { k: layout(1, 5, 3, 8) }, "shape", /k\.shape\[0\].*2/],
    ["k of other heads", { k: layout(2, 5, 1, 8) }, "shape", /k\.shape\[2\].*3/],
    ["k of another width", { k: layout(2, 5, 3, 4) }, "shape", /k\.shape\[3\].*8/],
    ["v of another length", { v: layout(2, 4, 3, 6) }, "shape", /v\.shape\[1\].*5/],
    ["v of other heads", { v: layout(2, 5, 2, 6) }, "shape", /v\.shape\[2\].*3/],
    ["v of another batch", { v: layout(1, 5, 3, 6) }, "shape", /v\.shape\[0\].*2/],
    ["v of another type", { v: { ...v, dtype: "f16" } }, "dtype", /v\.dtype/],
    ["k of another type", { k: { ...x, dtype: "f16" } }, "dtype", /k\.dtype/],
    ["q8 keys", { k: { ...x, dtype: "q8" } }, "dtype", /k\.dtype/],
    ["wide heads", { q: layout(2, 5, 3, 257), k: layout(2, 5, 3, 257) }, "unsupported", /256/],
    ["wide values", { v: layout(2, 5, 3, 300) }, "unsupported", /v\.shape\[3\].*256/],
    ["causal cross-attention", { causal: true, q: layout(2, 4, 3, 8) }, "shape", /k\.shape\[1\].*4/],
    ["causal that is no boolean", { causal: 1 }, "shape", /causal/],
    ["a clamp of zero", { clamp: 0 }, "shape", /clamp.*above 0/],
    ["a negative clamp", { clamp: -1 }, "shape", /clamp/],
    ["an infinite clamp", { clamp: Number.POSITIVE_INFINITY }, "shape", /clamp/],
    ["no epsilon", { epsilon: 0 }, "shape", /epsilon.*1e-12/],
    ["a negative epsilon", { epsilon: -1e-6 }, "shape", /epsilon/],
    ["an epsilon that is no number", { epsilon: "1e-6" }, "shape", /epsilon/],
    ["an unknown variant", { variant: "lra" }, "unsupported", /variant.*core.*cv/],
    ["a causal vision model", { variant: "cv", causal: true }, "unsupported", /variant.*causal/],
    ["an output of k's width", { out: x }, "shape", /out\.shape\[3\].*6/],
    ["a q8 output", { out: { ...v, dtype: "q8" } }, "dtype", /out\.dtype/],
    ["too few lengths", { keyLengths: [5] }, "shape", /keyLengths.*2 values/],
    ["a length past the end", { queryLengths: [5, 6] }, "shape", /queryLengths\[1\].*0 to 5/],
    ["a broken length", { keyLengths: [1.5, 2] }, "shape", /keyLengths\[0\]/],
    [
      "causal tokens that are half padding",
      { causal: true, queryLengths: [5, 5], keyLengths: [5, 4] },
      "shape",
      /same lengths/,
    ],
    ["a state without order", { state }, "unsupported", /state.*causal/],
    ["a state out without order", { stateOut: true }, "unsupported", /stateOut.*causal/],
    ["a state of other heads", { causal: true, state: layout(2, 1, 2, 68) }, "shape", /state\.shape\[2\]/],
    ["a state of another width", { causal: true, state: layout(2, 1, 3, 9) }, "shape", /state\.shape\[3\]/],
    ["a state in f16", { causal: true, state: { ...state, dtype: "f16" } }, "dtype", /state\.dtype/],
    [
      "a state at an odd place",
      { causal: true, state: { ...state, offset: 2 } },
      "shape",
      /multiples of four/,
    ],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planFlowAttention(ctx, any({ ...plain, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("a tensor that no binding holds", () => {
    const long = layout(1, 2 ** 20, 1, 64);
    const small = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 20 });
    expect(() => checkProblem({ q: long, k: long, v: long }, small)).toThrowError(
      expect.objectContaining({ code: "limit" }),
    );
  });

  it("layouts without a buffer, in a call", async () => {
    const call = flowAttention(ctx, any(x), any(x), any(v));
    await expect(call).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(/q\.buffer/) });
  });
});

it("fills in the defaults", () => {
  const shape = checkProblem(plain, capabilities);
  expect(shape).toMatchObject({ causal: false, clamp: 1, epsilon: 1e-6, flowEpsilon: 0 });
  expect(shape.out).toEqual({ dtype: "f32", shape: [2, 5, 3, 6] });
  expect(checkProblem({ ...plain, clamp: null }, capabilities).clamp).toBe(Number.POSITIVE_INFINITY);
  expect(checkProblem({ ...plain, variant: "cv", epsilon: 0.5 }, capabilities).flowEpsilon).toBe(0.5);
  const half = { ...x, dtype: "f16" } as const;
  const halves = { q: half, k: half, v: { ...v, dtype: "f16" } } as const;
  expect(checkProblem(halves, capabilities).out.dtype).toBe("f16");
  expect(checkProblem({ ...halves, out: v }, capabilities).out.dtype).toBe("f32");
  expect(checkProblem({ ...plain, causal: true, stateOut: true }, capabilities).stateOut).toEqual(state);
});

it("states hold whole vec4", () => {
  expect(flowStateShape(2, 3, 8, 8)).toEqual([2, 1, 3, 4 + 4 * 8 + 8 * 8]);
  expect(flowStateShape(1, 1, 5, 3)).toEqual([1, 1, 1, 4 + 4 * 8 + 8 * 4]);
});
