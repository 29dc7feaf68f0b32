import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attentionMap } from "../../../src/hooks/reference/attention-map.js";
import type { DenseTensor } from "../../../src/hooks/reference/dense-tensor.js";
import { giftEnhancement, giftOperation, giftSaliency } from "../../../src/hooks/reference/gift.js";
import { interventionReference } from "../../../src/hooks/reference/intervene.js";
import type { AttentionContext, TensorView } from "../../../src/index.js";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { planSoftmaxAttention } from "../../softmax/index.js";
import { planGazeEnhancement, planGazeSaliency } from "./index.js";

const [BATCHES, HEADS, TOKENS, DIM] = [2, 5, 40, 12];
const image = [3, 21] as const;
const question = [22, 38] as const;
const contentRows = [23, 24, 30];
const TOLERANCE = 5e-5;

const random = randomSource(3);
const made = () => normalArray(BATCHES * TOKENS * HEADS * DIM, random);
const dense = (data: Float32Array): DenseTensor => ({ data, shape: [BATCHES, TOKENS, HEADS, DIM] });
const inputs = { q: dense(made()), k: dense(made()), v: dense(made()), causal: true };
const maps = Array.from({ length: BATCHES }, (_, b) =>
  Array.from({ length: HEADS }, (_, h) => attentionMap(inputs, b, h)),
);
const saliencies = maps.map((own) => [...giftSaliency(own, { image, question }, contentRows).saliency]);

let ctx: AttentionContext;
let tensors: Record<"q" | "k" | "v" | "out" | "lse" | "saliency", TensorView>;
let plain: Float32Array;
beforeAll(async () => {
  ctx = await testContext();
  const upload = ({ data, shape }: DenseTensor) => ctx.fromArray(data, shape);
  tensors = {
    q: upload(inputs.q),
    k: upload(inputs.k),
    v: upload(inputs.v),
    out: ctx.empty(inputs.v.shape),
    lse: ctx.empty([BATCHES, TOKENS, HEADS, 1]),
    saliency: ctx.fromArray(saliencies.flat(), [BATCHES, image[1] - image[0], 1, 1]),
  };
  plain = await attend();
}, 60_000);
afterAll(() => {
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
});

async function attend(): Promise<Float32Array> {
  const { saliency: _, ...own } = tensors;
  const plan = await planSoftmaxAttention(ctx, { ...own, causal: true });
  await ctx.submitChecked((encoder) => plan.record(encoder, own));
  plan.destroy();
  return ctx.read(tensors.out);
}

describe("gaze shifts", () => {
  it("say what of the image matters, as the float64 reference does", async () => {
    const { q, k, lse } = tensors;
    const saliency = ctx.fromArray(new Float32Array(36).fill(Number.NaN), [BATCHES, 18, 1, 1]);
    const plan = await planGazeSaliency(ctx, { ...tensors, causal: true, image, contentRows, saliency });
    await ctx.submitChecked((encoder) => plan.record(encoder, { q, k, lse, saliency }));
    expect(difference(await ctx.read(saliency), saliencies.flat()).maxAbsolute).toBeLessThan(TOLERANCE);
    plan.destroy();
    saliency.buffer.destroy();
  });

  it.each([5, 0, 2.5])("change the last row, alpha = %d", async (alpha) => {
    await attend();
    const heads = maps.map((own, b) => {
      const enhancement = giftEnhancement(own, { image, question }, saliencies[b]!, alpha);
      return new Map(
        own.flatMap((_, h) => {
          const operation = giftOperation(enhancement, { image, question }, h, TOKENS);
          return operation ? [[h, operation] as const] : [];
        }),
      );
    });
    const plan = await planGazeEnhancement(ctx, { ...tensors, causal: true, image, question, alpha });
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
    const out = await ctx.read(tensors.out);
    const expected = interventionReference({ ...inputs, heads }).out;
    expect(difference(out, expected).maxRelative).toBeLessThan(TOLERANCE);
    const changed = [...out].flatMap((x, n) =>
      Object.is(x, plain[n]) ? [] : [Math.floor(n / (HEADS * DIM)) % TOKENS],
    );
    expect([...new Set(changed)]).toEqual(alpha === 0 ? [] : [TOKENS - 1]);
  });

  it.each([false, true])(
    "come behind a mod of the application's, with a bias before it: %s",
    async (hasBias) => {
      const bias = hasBias
        ? ctx.fromArray(normalArray(HEADS * TOKENS, random), [1, HEADS, 1, TOKENS])
        : undefined;
      const values = bias && (await ctx.read(bias));
      // Scales the bias with the scores, but not what gaze shifts add.
      const problem = { causal: true, scoreMod: { wgsl: "return score * 1.5;" }, ...(bias && { bias }) };
      const { saliency, ...own } = tensors;
      const given = { ...own, ...(bias && { bias }) };
      const attention = await planSoftmaxAttention(ctx, { ...own, ...problem });
      const plan = await planGazeEnhancement(ctx, { ...tensors, ...problem, image, question, alpha: 2 });
      await ctx.submitChecked((encoder) => {
        attention.record(encoder, given);
        plan.record(encoder, { ...given, saliency });
      });
      attention.destroy();
      plan.destroy();
      bias?.buffer.destroy();

      const scaled = {
        ...{ ...inputs, scale: 1.5 / Math.sqrt(DIM) },
        ...(values && { bias: { data: values.map((x) => 1.5 * x), shape: [1, 1, HEADS, TOKENS] as const } }),
      };
      const heads = saliencies.map((own, b) => {
        const maps = Array.from({ length: HEADS }, (_, h) => attentionMap(scaled, b, h));
        const enhancement = giftEnhancement(maps, { image, question }, own, 2);
        return new Map(
          maps.flatMap((_, h) => {
            const operation = giftOperation(enhancement, { image, question }, h, TOKENS);
            return operation ? [[h, operation] as const] : [];
          }),
        );
      });
      const expected = interventionReference({ ...scaled, heads }).out;
      expect(difference(await ctx.read(tensors.out), expected).maxRelative).toBeLessThan(TOLERANCE);
    },
  );

  it("add to a bias of the application's, for one query", async () => {
    const bias = ctx.fromArray(normalArray(HEADS * TOKENS, random), [1, HEADS, 1, TOKENS]);
    const values = await ctx.read(bias);
    const q = ctx.fromArray(Array.from(inputs.q.data).slice(0, HEADS * DIM), [1, 1, HEADS, DIM]);
    const one = (tensor: DenseTensor) =>
      ctx.fromArray(Array.from(tensor.data).slice(0, TOKENS * HEADS * DIM), [1, TOKENS, HEADS, DIM]);
    const own = {
      ...{ q, k: one(inputs.k), v: one(inputs.v), bias, out: ctx.empty([1, 1, HEADS, DIM]) },
      lse: ctx.empty([1, 1, HEADS, 1]),
    };
    const saliency = ctx.fromArray(saliencies[0]!, [1, 18, 1, 1]);
    const attention = await planSoftmaxAttention(ctx, own);
    const plan = await planGazeEnhancement(ctx, { ...own, image, question, saliency });
    await ctx.submitChecked((encoder) => {
      attention.record(encoder, own);
      plan.record(encoder, { ...own, saliency });
    });
    const cut = (tensor: DenseTensor, tokens: number): DenseTensor => ({
      data: Array.from(tensor.data).slice(0, tokens * HEADS * DIM),
      shape: [1, tokens, HEADS, DIM],
    });
    const reference = {
      q: cut(inputs.q, 1),
      k: cut(inputs.k, TOKENS),
      v: cut(inputs.v, TOKENS),
      bias: { data: values, shape: [1, 1, HEADS, TOKENS] as const },
    };
    const own0 = Array.from({ length: HEADS }, (_, h) => attentionMap(reference, 0, h));
    const enhancement = giftEnhancement(own0, { image, question }, saliencies[0]!);
    const operations = own0.flatMap((_, h) => {
      const operation = giftOperation(enhancement, { image, question }, h, TOKENS);
      return operation ? [[h, operation] as const] : [];
    });
    const expected = interventionReference({ ...reference, heads: new Map(operations) }).out;
    expect(difference(await ctx.read(own.out), expected).maxRelative).toBeLessThan(TOLERANCE);
    attention.destroy();
    plan.destroy();
    for (const { buffer } of [...Object.values(own), saliency]) buffer.destroy();
  });

  it.each([
    ["shape", { contentRows: [] }],
    ["shape", { contentRows: [TOKENS] }],
    ["shape", { image: [5, 5] }],
    ["shape", { image: [5, 50] }],
    ["unsupported", { blockMask: {} }],
  ])("refuse what does not fit: %s %j", async (code, change) => {
    const problem = { ...tensors, causal: true, image, contentRows, ...change } as never;
    await expect(planGazeSaliency(ctx, problem)).rejects.toThrow(expect.objectContaining({ code }));
  });
});
