import { describe, expect, it, test } from "vitest";
import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";
import { softmaxAttentionReference } from "../../../kernels/softmax/reference.js";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { embeddings, sourcedAttention as reference } from "../reference/query-key-source.js";
import { randomEmbeddings } from "./random-embeddings.js";
import { planSourcedAttention, sourcedAttention } from "./sourced-attention.js";

const [TOKENS, CHANNELS, HEADS, DIM] = [20, 12, 3, 4];
const TOLERANCE = 1e-5;

/** [batches, tokens, 1, channels] of standard normal numbers */
function states(batches: number, tokens: number, channels: number, seed: number) {
  const shape: Shape4 = [batches, tokens, 1, channels];
  return { data: randomEmbeddings({ tokens: batches * tokens, channels, seed, sigma: 1 }), shape };
}

const matrix = (outputs: number, inputs: number, seed: number) =>
  randomEmbeddings({ tokens: outputs, channels: inputs, seed, sigma: 0.4 });

/** A matrix stored [out, in], as linear layers keep it. */
function weightView(ctx: AttentionContext, data: Float32Array, outputs: number): TensorView {
  const inputs = data.length / outputs;
  const view = ctx.fromArray(data, [1, 1, 1, data.length]);
  return { ...view, shape: [1, 1, inputs, outputs], strides: [0, 0, 1, inputs] };
}

const upload = (ctx: AttentionContext, { data, shape }: ReturnType<typeof states>) =>
  ctx.fromArray(data, shape);

const [wq, wk, wv] = [
  matrix(HEADS * DIM, CHANNELS, 2),
  matrix(HEADS * DIM, CHANNELS, 3),
  matrix(HEADS * DIM, CHANNELS, 4),
];

function weightsOf(ctx: AttentionContext) {
  const [q, k, v] = [wq, wk, wv].map((data) => weightView(ctx, data, HEADS * DIM)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  return { wq: q, wk: k, wv: v };
}

describe("sourcedAttention", () => {
  test.each([
    ["of each batch entry", 2, TOKENS],
    ["the same for all", 1, TOKENS],
    ["longer, and the same for all", 1, TOKENS + 7],
    ["longer, of each batch entry", 2, TOKENS + 7],
  ])("is the float64 reference where the source is %s", async (_name, batches, tokens) => {
    const ctx = await testContext();
    const [hidden, source] = [states(2, TOKENS, CHANNELS, 1), states(batches, tokens, CHANNELS, 5)];
    const { out, lse } = await sourcedAttention(
      ctx,
      upload(ctx, hidden),
      upload(ctx, source),
      weightsOf(ctx),
      {
        heads: HEADS,
        causal: true,
        lse: true,
      },
    );
    const expected = reference({ hidden, states: source, wq, wk, wv, heads: HEADS });
    expect(out.shape).toEqual([2, TOKENS, HEADS, DIM]);
    expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    expect(lse!.shape).toEqual([2, TOKENS, HEADS, 1]);
  });

  it("takes any option of softmax attention, grouped heads, biases, and sources of other widths", async () => {
    const ctx = await testContext();
    const [hidden, source] = [states(2, TOKENS, CHANNELS, 1), states(2, TOKENS, 10, 5)];
    const data = {
      wq: matrix(4 * 6, 10, 2),
      wk: matrix(2 * 6, 10, 3),
      wv: matrix(2 * 5, CHANNELS, 4),
      bq: matrix(1, 24, 6),
      bv: matrix(1, 10, 7),
    };
    const { bq, bv } = data;
    const options = { window: { left: 6, right: 2 }, scale: 0.3, softcap: 3, sinkLogits: [0.5, 0, 1, -1] };
    const { out } = await sourcedAttention(
      ctx,
      upload(ctx, hidden),
      upload(ctx, source),
      {
        wq: weightView(ctx, data.wq, 24),
        wk: weightView(ctx, data.wk, 12),
        wv: weightView(ctx, data.wv, 10),
        bq: ctx.fromArray(bq, [1, 1, 1, 24]),
        bv: ctx.fromArray(bv, [1, 1, 1, 10]),
      },
      { heads: 4, kvHeads: 2, ...options },
    );
    const project = (
      { data: x, shape }: typeof hidden,
      weight: Float32Array,
      bias: Float32Array | undefined,
      heads: number,
    ) => {
      const inputs = shape[3];
      const outputs = weight.length / inputs;
      const values = Array.from({ length: 2 * TOKENS * outputs }, (_, index) => {
        const [row, output] = [Math.floor(index / outputs), index % outputs];
        let sum = bias?.[output] ?? 0;
        for (let c = 0; c < inputs; c++) sum += x[row * inputs + c]! * weight[output * inputs + c]!;
        return sum;
      });
      return { data: values, shape: [2, TOKENS, heads, outputs / heads] as Shape4 };
    };
    const [q, k, v] = [
      project(source, data.wq, bq, 4),
      project(source, data.wk, undefined, 2),
      project(hidden, data.wv, bv, 2),
    ];
    const expected = softmaxAttentionReference({ q: q!, k: k!, v: v!, ...options });
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE);
  });
});

describe("planSourcedAttention", () => {
  it("projects a source that all batch entries share once, and again only when it is given again", async () => {
    const ctx = await testContext();
    const source = embeddings(TOKENS, CHANNELS, 9, 1);
    const weights = weightsOf(ctx);
    const problem = { heads: HEADS, causal: true, ...weights };
    const hidden = [1, 2].map((seed) => states(2, TOKENS, CHANNELS, seed));
    const [first, second] = hidden.map((tensor) => upload(ctx, tensor)) as [TensorView, TensorView];
    const given = ctx.fromArray(source.data, [1, TOKENS, 1, CHANNELS]);
    const plan = await planSourcedAttention(ctx, { ...problem, hidden: first, states: given });
    const [ofQueries, ofKeys, ofValues] = plan.passes.filter(({ name }) => name === "layers/linear");
    expect(ofQueries!.cost.flops).toBe(ofValues!.cost.flops / 2);
    expect(ofKeys!.cost.flops).toBe(ofValues!.cost.flops / 2);

    const out = ctx.empty([2, TOKENS, HEADS, DIM]);
    const tensors = { ...weights, out };
    const encoder = ctx.device.createCommandEncoder();
    expect(() => plan.record(encoder, { ...tensors, hidden: first })).toThrowError(
      expect.objectContaining({
        code: "unsupported",
        message: expect.stringMatching(/states.*first record/),
      }),
    );
    for (const [index, view] of [first, second].entries()) {
      const states = index === 0 ? { states: given } : {};
      await ctx.submitChecked((recorder) => plan.record(recorder, { ...tensors, ...states, hidden: view }));
      const expected = reference({ hidden: hidden[index]!, states: source, wq, wk, wv, heads: HEADS });
      expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    }
    // In segments as in whole.
    for (const segment of plan.segments)
      await ctx.submitChecked((recorder) => segment.record(recorder, { ...tensors, hidden: first }));
    const expected = reference({ hidden: hidden[0]!, states: source, wq, wk, wv, heads: HEADS });
    expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    plan.destroy();
  });

  it("goes on with queries and keys only once both are projected", async () => {
    const ctx = await testContext();
    const layout = (...shape: Shape4) => ({ dtype: "f32", shape }) as const;
    const weights = weightsOf(ctx);
    const [hidden, given] = [states(2, TOKENS, CHANNELS, 1), states(2, TOKENS, CHANNELS, 2)].map((tensor) =>
      upload(ctx, tensor),
    ) as [TensorView, TensorView];
    const plan = await planSourcedAttention(ctx, { heads: HEADS, ...weights, hidden, states: given });
    const tensors = { ...weights, hidden, out: ctx.empty([2, TOKENS, HEADS, DIM]) };
    const encoder = () => ctx.device.createCommandEncoder();
    const refused = (record: () => void) =>
      expect(record).toThrowError(expect.objectContaining({ code: "unsupported" }));

    const [ofQueries, ofKeys, ofValues] = plan.segments;
    ofQueries!.record(encoder(), { ...tensors, states: given });
    refused(() => ofKeys!.record(encoder(), tensors));
    ofKeys!.record(encoder(), { ...tensors, states: given });
    ofValues!.record(encoder(), tensors);

    const bad = { ...tensors, out: { ...tensors.out, ...layout(2, TOKENS, HEADS, DIM + 1) } };
    expect(() => plan.record(encoder(), { ...bad, states: given })).toThrowError();
    refused(() => plan.record(encoder(), tensors));
    plan.record(encoder(), { ...tensors, states: given });
    // What was projected before stays, if the rest fails.
    expect(() => plan.record(encoder(), bad)).toThrowError();
    plan.record(encoder(), tensors);
    plan.destroy();
  });

  it("says what is wrong with buffers, and keeps none of its own", async () => {
    const ctx = await testContext();
    const [hidden, given] = [states(1, TOKENS, CHANNELS, 1), states(1, TOKENS, CHANNELS, 2)].map((tensor) =>
      upload(ctx, tensor),
    ) as [TensorView, TensorView];
    const call = (view: TensorView) =>
      sourcedAttention(ctx, view, given, weightsOf(ctx), { heads: HEADS, causal: true });
    await expect(call({ ...hidden, buffer: undefined as never })).rejects.toMatchObject({
      code: "shape",
      message: expect.stringContaining("hidden"),
    });
    hidden.buffer.destroy();
    await expect(call(hidden)).rejects.toMatchObject({ code: "disposed" });
  });

  test.each<[string, object, string, RegExp]>([
    [
      "a source of other batch entries",
      { states: { dtype: "f32", shape: [3, TOKENS, 1, CHANNELS] } },
      "shape",
      /states\.shape\[0\].*1 or 2/,
    ],
    [
      "a shorter source",
      { states: { dtype: "f32", shape: [1, TOKENS - 1, 1, CHANNELS] } },
      "shape",
      /states\.shape\[1\].*at least 20/,
    ],
    ["a source of another width", { states: { dtype: "f32", shape: [1, TOKENS, 1, 5] } }, "shape", /weight/],
    ["heads that do not divide", { heads: 5 }, "shape", /wq\.shape\[3\].*5 heads/],
    ["no heads", { heads: 0 }, "shape", /heads/],
    ["queries", { q: { dtype: "f32", shape: [2, TOKENS, 3, 4] } }, "unsupported", /"q"/],
    ["an unknown option", { casual: true }, "unsupported", /casual/],
  ])("refuses %s", async (_name, changes, code, message) => {
    const ctx = await testContext();
    const layout = (...shape: Shape4) => ({ dtype: "f32", shape }) as const;
    const before = ctx.memory();
    const problem = {
      hidden: layout(2, TOKENS, 1, CHANNELS),
      states: layout(1, TOKENS, 1, CHANNELS),
      ...weightsOf(ctx),
      heads: HEADS,
      ...changes,
    };
    await expect(planSourcedAttention(ctx, problem)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(ctx.memory()).toEqual(before);
  });
});
