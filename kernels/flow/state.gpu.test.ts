import { expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { randomSource } from "../../test/support/random.js";
import { type FlowCase, TOLERANCE_F32 } from "./cases.js";
import { makeCaseInputs } from "./check-case.js";
import { type FlowOptions, flowAttention, flowStateShape } from "./index.js";
import { flowAttentionReference } from "./reference.js";

const sizes = { batches: 2, tokensQ: 170, tokensK: 170, heads: 2, dtype: "f32", outDtype: "f32" } as const;

function problemOf(headDim: number, valueDim: number, clamp: number | null, spread = 1): FlowCase {
  return { ...sizes, name: "state", headDim, valueDim, spread, options: { causal: true, clamp } };
}

/** Cuts a sequence at random; single tokens are as likely as longer pieces. */
function randomPieces(tokens: number, seed: number): number[] {
  const random = randomSource(seed);
  const pieces: number[] = [];
  for (let left = tokens; left > 0; left -= pieces.at(-1)!) {
    pieces.push(random() < 0.5 ? 1 : Math.min(left, 1 + Math.floor(random() * 100)));
  }
  return pieces;
}

/** Attends piece by piece, each with the state of the one before; the first with none or with zeros. */
async function inPieces(
  ctx: AttentionContext,
  problem: FlowCase,
  pieces: readonly number[],
  start: "none" | "zeros",
  options: FlowOptions & { lengthsOf?: (from: number, count: number) => number[] } = {},
): Promise<{ out: Float64Array; state: Float32Array }> {
  const { batches, heads, headDim, valueDim, tokensQ, options: own } = problem;
  const { lengthsOf, ...rest } = options;
  const made = makeCaseInputs(problem);
  const whole = {
    q: ctx.fromArray(made.q.data, made.q.shape),
    k: ctx.fromArray(made.k.data, made.k.shape),
    v: ctx.fromArray(made.v.data, made.v.shape),
  };
  const out = new Float64Array(batches * tokensQ * heads * valueDim);
  const buffers = Object.values(whole).map(({ buffer }) => buffer);
  let state: TensorView | undefined =
    start === "zeros" ? ctx.empty(flowStateShape(batches, heads, headDim, valueDim)) : undefined;
  let from = 0;
  for (const count of pieces) {
    const piece = ({ buffer, shape: [b, t, h, d] }: TensorView): TensorView => ({
      buffer,
      dtype: "f32",
      shape: [b, count, h, d],
      strides: [t * h * d, h * d, d, 1],
      offset: from * h * d,
    });
    const result = await flowAttention(ctx, piece(whole.q), piece(whole.k), piece(whole.v), {
      ...own,
      ...rest,
      ...(lengthsOf && { keyLengths: lengthsOf(from, count) }),
      ...(state && { state }),
      stateOut: true,
    });
    const values = await ctx.read(result.out);
    const row = heads * valueDim;
    for (let b = 0; b < batches; b++)
      out.set(values.subarray(b * count * row, (b + 1) * count * row), (b * tokensQ + from) * row);
    buffers.push(result.out.buffer, ...(state ? [state.buffer] : []));
    state = result.stateOut!;
    from += count;
  }
  const last = await ctx.read(state!);
  for (const buffer of [...buffers, state!.buffer]) buffer.destroy();
  return { out, state: last };
}

test.each([
  ["whole vec4", problemOf(16, 12, 1), 1],
  ["odd widths", problemOf(5, 3, 1), 2],
  ["no clamp", { ...problemOf(16, 12, null), mean: -4, loudEvery: 50 }, 3],
  ["wide heads", problemOf(72, 100, 5), 4],
] as const)("pieces with a state are as the whole, %s", async (_name, problem, seed) => {
  const ctx = await testContext();
  const expected = flowAttentionReference({ ...makeCaseInputs(problem), ...problem.options });
  const whole = await inPieces(ctx, problem, [problem.tokensQ], "none");
  expect(difference(whole.out, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  const runs = [
    randomPieces(problem.tokensQ, seed),
    randomPieces(problem.tokensQ, 10 * seed),
    [130, ...Array<number>(40).fill(1)],
  ];
  for (const pieces of runs) {
    const { out, state } = await inPieces(ctx, problem, pieces, "zeros");
    expect(difference(out, expected).maxRelative, `out of ${pieces}`).toBeLessThanOrEqual(TOLERANCE_F32);
    expect(difference(state, whole.state).maxRelative, `state of ${pieces}`).toBeLessThanOrEqual(
      TOLERANCE_F32,
    );
  }
});

test("the state is as its description says", async () => {
  const ctx = await testContext();
  const problem = { ...problemOf(5, 3, 1), batches: 1, heads: 1, tokensQ: 3, tokensK: 3 };
  const { q } = makeCaseInputs(problem);
  const { state } = await inPieces(ctx, problem, [1, 2], "none");
  expect(state.length).toBe(4 + 4 * 8 + 8 * 4);
  expect([...state.subarray(0, 4)].map(Math.round)).toEqual([0, Math.round(state[1]!), 3, 0]);
  const querySum = Array.from({ length: 8 }, (_, c) =>
    c < 5 ? [0, 1, 2].reduce((sum, t) => sum + 1 / (1 + Math.exp(-q.data[t * 5 + c]!)), 0) : 0,
  );
  expect(difference(state.subarray(4, 12), querySum).maxRelative).toBeLessThan(1e-6);
});

test("padding of a piece is not carried on", async () => {
  const ctx = await testContext();
  const problem = problemOf(16, 12, 1);
  // Batch entry 0 has 100 tokens, entry 1 has 163: the last pieces are padding, in part or whole.
  const lengths = [100, 163];
  const lengthsOf = (from: number, count: number) =>
    lengths.map((length) => Math.min(Math.max(length - from, 0), count));
  const { out, state } = await inPieces(ctx, problem, [90, 1, 70, 1, 1, 1, 6], "zeros", { lengthsOf });
  const expected = flowAttentionReference({
    ...makeCaseInputs(problem),
    ...problem.options,
    queryLengths: lengths,
    keyLengths: lengths,
  });
  expect(difference(out, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  const size = state.length / (problem.batches * problem.heads);
  expect([0, 1, 2, 3].map((head) => state[head * size + 2])).toEqual([100, 100, 163, 163]);
});
