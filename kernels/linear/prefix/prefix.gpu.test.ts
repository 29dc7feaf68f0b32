import { describe, expect, test, vi } from "vitest";
import { elementCount, type TensorView } from "../../../src/dispatch/tensor-view.js";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { PREFIX_CASES, type PrefixSoftmaxCase, TOLERANCE_F32 } from "./cases.js";
import { checkPrefixCase, makeInputs } from "./check-case.js";
import { planPrefixSoftmaxAttention, prefixSoftmaxAttention } from "./index.js";
import { chunksOf } from "./plan.js";
import { prefixSoftmaxReference } from "./reference.js";

test.each(PREFIX_CASES)("prefix softmax agrees with the float64 reference: $name", async (problem) => {
  const { error, tolerance } = await checkPrefixCase(await testContext(), problem);
  expect(error).toBeLessThanOrEqual(tolerance);
});

describe("as planned for a GPU, in many dispatches and with scratch for two heads at a time", () => {
  const names = [
    "many chunks, batches and heads",
    "grouped heads",
    "padding",
    "D 7, Dv 130",
    "f16, odd widths",
  ];
  test.each(PREFIX_CASES.filter(({ name }) => names.includes(name)))("$name", async (problem) => {
    const ctx = await testContext();
    const { limits } = ctx.capabilities;
    const scores = 4 * problem.tokens;
    const sums = 16 * (chunksOf(problem.tokens).count - 1) * (2 + Math.ceil(problem.valueDim / 4));
    const capabilities = {
      ...ctx.capabilities,
      software: false,
      limits: { ...limits, maxStorageBufferBindingSize: 2.5 * Math.max(scores, sums) },
    };
    const { error, tolerance, passes } = await checkPrefixCase(ctx, problem, {
      capabilities,
      maxDispatchFlops: 5e3,
    });
    expect(error).toBeLessThanOrEqual(tolerance);
    expect(passes).toBeGreaterThan(4);
  });
});

test("strided tensors at an offset, without a byte outside their rows", async () => {
  const ctx = await testContext();
  const problem = { ...PREFIX_CASES[1]!, tokens: 70, batches: 2 };
  const inputs = makeInputs(problem);
  const [batches, tokens, heads] = inputs.q.shape;
  /** [B, H, N, D + 2] with NaN around it, behind three elements. */
  const spread = ({ data, shape: [b, t, h, d] }: ReturnType<typeof makeInputs>["q"]): TensorView => {
    const pitch = d + 2;
    const memory = new Float32Array(3 + b * h * t * pitch).fill(Number.NaN);
    data.forEach((value, index) => {
      const [row, channel] = [Math.floor(index / d), index % d];
      const [batch, token, head] = [Math.floor(row / (t * h)), Math.floor(row / h) % t, row % h];
      memory[3 + ((batch * h + head) * t + token) * pitch + channel] = value;
    });
    const view = ctx.fromArray(memory, [1, 1, 1, memory.length]);
    return { ...view, shape: [b, t, h, d], strides: [h * t * pitch, pitch, t * pitch, 1], offset: 3 };
  };
  const rows = batches * tokens * heads;
  const pitch = problem.valueDim + 3;
  const memory = ctx.fromArray(new Float32Array(rows * pitch).fill(7), [1, 1, 1, rows * pitch]);
  const out: TensorView = {
    ...memory,
    shape: [batches, tokens, heads, problem.valueDim],
    strides: [tokens * heads * pitch, heads * pitch, pitch, 1],
  };
  await prefixSoftmaxAttention(ctx, spread(inputs.q), spread(inputs.k), spread(inputs.v), { out });
  const expected = prefixSoftmaxReference(inputs);
  expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  const around = (await ctx.read(memory)).filter((_, index) => index % pitch >= problem.valueDim);
  expect(around.every((value) => value === 7)).toBe(true);
});

test("a plan records twice with bitwise equal results, without allocating or submitting", async () => {
  const ctx = await testContext();
  const problem: PrefixSoftmaxCase = { ...PREFIX_CASES[0]!, headDim: 16, valueDim: 16 };
  const inputs = makeInputs(problem);
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map(({ data, shape }) => ctx.fromArray(data, shape)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  const plan = await planPrefixSoftmaxAttention(ctx, { q, k, v });
  const nan = () => ctx.fromArray(new Float32Array(elementCount(q.shape)).fill(Number.NaN), q.shape);
  const outs = [nan(), nan()] as const;
  for (const out of outs) await ctx.submitChecked((encoder) => plan.record(encoder, { q, k, v, out }));
  const [first, second] = [await ctx.read(outs[0]), await ctx.read(outs[1])];
  expect(new Uint32Array(second.buffer)).toEqual(new Uint32Array(first.buffer));
  const spies = [
    vi.spyOn(ctx.device, "createBuffer"),
    vi.spyOn(ctx.device, "createComputePipelineAsync"),
    vi.spyOn(ctx.device.queue, "submit"),
  ];
  plan.record(ctx.device.createCommandEncoder(), { q, k, v, out: outs[0] });
  for (const spy of spies) {
    expect(spy).not.toHaveBeenCalled();
    spy.mockRestore();
  }
  plan.destroy();
});
