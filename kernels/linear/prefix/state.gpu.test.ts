import { expect, test } from "vitest";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import type { TensorView } from "../../../src/dispatch/tensor-view.js";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { type PrefixSoftmaxCase, TOLERANCE_F32, TOLERANCE_LARGE_SCORES } from "./cases.js";
import { makeInputs } from "./check-case.js";
import { prefixSoftmaxAttention, prefixSoftmaxStateShape } from "./index.js";
import { prefixSoftmaxReference } from "./reference.js";

const sizes = { batches: 2, tokens: 150, heads: 4, kvHeads: 2, dtype: "f32" } as const;

/** Attends piece by piece, each with the state of the one before; the first with none or with zeros. */
async function inPieces(
  ctx: AttentionContext,
  problem: PrefixSoftmaxCase,
  pieces: readonly number[],
  start: "none" | "zeros",
  lengthsOf?: (from: number, count: number) => number[],
): Promise<{ out: Float64Array; state: Float32Array }> {
  const { batches, tokens, heads, valueDim, scale } = problem;
  const inputs = makeInputs(problem);
  const whole = [inputs.q, inputs.k, inputs.v].map(({ data, shape }) => ctx.fromArray(data, shape));
  const out = new Float64Array(batches * tokens * heads * valueDim);
  const buffers = whole.map(({ buffer }) => buffer);
  let state: TensorView | undefined =
    start === "zeros" ? ctx.empty(prefixSoftmaxStateShape(batches, heads, valueDim)) : undefined;
  let from = 0;
  for (const count of pieces) {
    const [q, k, v] = whole.map(({ buffer, shape: [b, t, h, d] }): TensorView => {
      const strides = [t * h * d, h * d, d, 1] as const;
      return { buffer, dtype: "f32", shape: [b, count, h, d], strides, offset: from * h * d };
    }) as [TensorView, TensorView, TensorView];
    const result = await prefixSoftmaxAttention(ctx, q, k, v, {
      ...(scale !== undefined && { scale }),
      ...(state && { state }),
      ...(lengthsOf && { keyLengths: lengthsOf(from, count) }),
      stateOut: true,
    });
    const values = await ctx.read(result.out);
    const row = heads * valueDim;
    for (let b = 0; b < batches; b++)
      out.set(values.subarray(b * count * row, (b + 1) * count * row), (b * tokens + from) * row);
    buffers.push(result.out.buffer, ...(state ? [state.buffer] : []));
    state = result.stateOut!;
    from += count;
  }
  const last = await ctx.read(state!);
  for (const buffer of [...buffers, state!.buffer]) buffer.destroy();
  return { out, state: last };
}

test.each<[string, PrefixSoftmaxCase]>([
  ["whole vec4", { ...sizes, name: "", headDim: 16, valueDim: 12 }],
  ["odd widths", { ...sizes, name: "", headDim: 5, valueDim: 3 }],
  ["scores of some hundreds", { ...sizes, name: "", headDim: 8, valueDim: 4, scale: 60 }],
  ["scores below zero", { ...sizes, name: "", headDim: 8, valueDim: 4, scale: -60 }],
])("pieces with a state are as the whole: %s", async (_name, problem) => {
  const ctx = await testContext();
  const { scale } = problem;
  const expected = prefixSoftmaxReference({ ...makeInputs(problem), ...(scale !== undefined && { scale }) });
  const tolerance = scale === undefined ? TOLERANCE_F32 : TOLERANCE_LARGE_SCORES;
  const whole = await inPieces(ctx, problem, [problem.tokens], "none");
  expect(difference(whole.out, expected).maxRelative).toBeLessThanOrEqual(tolerance);
  for (const pieces of [
    [70, 80],
    [33, 1, 1, 1, 64, 50],
    [140, ...Array<number>(10).fill(1)],
  ]) {
    const { out, state } = await inPieces(ctx, problem, pieces, "zeros");
    expect(difference(out, expected).maxRelative, `out of ${pieces}`).toBeLessThanOrEqual(tolerance);
    expect(difference(state, whole.state).maxRelative, `state of ${pieces}`).toBeLessThanOrEqual(tolerance);
  }
});

test("padding of a piece is not carried on", async () => {
  const ctx = await testContext();
  const problem: PrefixSoftmaxCase = { ...sizes, name: "", headDim: 8, valueDim: 6 };
  // Batch entry 0 has no key at all, entry 1 has 120.
  const lengths = [0, 120];
  const lengthsOf = (from: number, count: number) =>
    lengths.map((length) => Math.min(Math.max(length - from, 0), count));
  const { out, state } = await inPieces(ctx, problem, [50, 1, 80, 1, 18], "zeros", lengthsOf);
  const expected = prefixSoftmaxReference({ ...makeInputs(problem), keyLengths: lengths });
  expect(difference(out, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  // The state before any key is zero.
  expect(state.subarray(0, state.length / 2).every((value) => value === 0)).toBe(true);
});

test("the state is as its description says", async () => {
  const ctx = await testContext();
  const { stateOut } = await prefixSoftmaxAttention(
    ctx,
    ctx.fromArray([1, 2, 3], [1, 3, 1, 1]),
    ctx.fromArray([1, 2, 1], [1, 3, 1, 1]),
    ctx.fromArray([1, 2, 4, 8, 16, 32], [1, 3, 1, 2]),
    { activation: "identity", stateOut: true },
  );
  const weights = [1, 4, 3].map((score) => Math.exp(score - 4));
  const sum = (values: readonly number[]) =>
    values.reduce((total, value, j) => total + weights[j]! * value, 0);
  const expected = [4, sum([1, 1, 1]), 0, 0, sum([1, 4, 16]), sum([2, 8, 32]), 0, 0];
  expect(stateOut!.shape).toEqual(prefixSoftmaxStateShape(1, 1, 2));
  expect(difference(await ctx.read(stateOut!), expected).maxRelative).toBeLessThan(1e-6);
});
