/** Gaze shifts where attention has options, shares key heads, and lies anywhere in memory. */
import { expect, it } from "vitest";
import { asStored } from "../../../src/dispatch/float16.js";
import { attentionMap } from "../../../src/hooks/reference/attention-map.js";
import { giftEnhancement, giftOperation, giftSaliency } from "../../../src/hooks/reference/gift.js";
import { interventionReference } from "../../../src/hooks/reference/intervene.js";
import type { Shape4 } from "../../../src/index.js";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { optionsInBuffers } from "../../../test/support/option-buffers.js";
import { placer } from "../../../test/support/placement.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { planSoftmaxAttention } from "../../softmax/index.js";
import { planGazeEnhancement, planGazeSaliency } from "./index.js";

const [TOKENS_Q, TOKENS_K, HEADS, KV_HEADS] = [19, 26, 6, 2];
const image = [2, 13] as const;
const question = [14, 25] as const;
// The first row has no neighbour before it.
const contentRows = [0, 9, 12];

it.each([
  ["f32", 7, 5, 5e-5],
  ["f16", 8, 8, 2e-3],
] as const)(
  "grouped heads, rotary embedding, key mask, lengths, sink logits, strides: %s",
  async (dtype, headDim, valueDim, tolerance) => {
    const ctx = await testContext();
    const random = randomSource(4);
    const made = (shape: Shape4) => ({
      shape,
      data: asStored(
        normalArray(
          shape.reduce((a, b) => a * b),
          random,
        ),
        dtype,
      ),
    });
    const dense = {
      q: made([1, TOKENS_Q, HEADS, headDim]),
      k: made([1, TOKENS_K, KV_HEADS, headDim]),
      v: made([1, TOKENS_K, KV_HEADS, valueDim]),
    };
    const options = {
      ...{ causal: true, queryOffset: "end" as const, keyLengths: [25], rope: { dim: 4, theta: 30 } },
      keyMask: Array.from({ length: TOKENS_K }, (_, j) => (j % 6 === 4 ? 0 : 1)),
      sinkLogits: normalArray(HEADS, random),
    };
    const place = placer<"q" | "k" | "v" | "out" | "lse">(ctx, {
      q: { order: [0, 2, 1, 3], padding: [0, 1, 0, 1], offset: 3 },
      k: { order: [2, 0, 1, 3], padding: [0, 0, 1, 0], offset: 2 },
      out: { order: [2, 1, 0, 3], padding: [0, 0, 0, 3], offset: 4 },
      lse: { order: [1, 2, 0, 3], padding: [0, 1, 0, 0], offset: 5 },
    });
    const tensors = {
      q: place("q", dense.q.shape, dense.q.data, dtype),
      k: place("k", dense.k.shape, dense.k.data, dtype),
      v: place("v", dense.v.shape, dense.v.data, dtype),
      out: place("out", [1, TOKENS_Q, HEADS, valueDim], undefined, dtype),
      lse: place("lse", [1, TOKENS_Q, HEADS, 1]),
    };
    const saliency = ctx.empty([1, image[1] - image[0], 1, 1]);
    const buffers = [...Object.values(tensors), saliency].map(({ buffer }) => buffer);
    const given = { ...tensors, ...optionsInBuffers(ctx, TOKENS_K, options, buffers), image };
    const { image: _, ...attention } = given;
    const plans = [
      await planSoftmaxAttention(ctx, attention),
      await planGazeSaliency(ctx, { ...given, contentRows }),
      await planGazeEnhancement(ctx, { ...given, question, alpha: 3 }),
    ] as const;
    const { q, k, lse } = tensors;
    await ctx.submitChecked((encoder) => {
      plans[0].record(encoder, tensors);
      plans[1].record(encoder, { q, k, lse, saliency });
      plans[2].record(encoder, { ...tensors, saliency });
    });

    const maps = Array.from({ length: HEADS }, (_, h) => attentionMap({ ...dense, ...options }, 0, h));
    const expected = giftSaliency(maps, { image, question }, contentRows).saliency;
    expect(difference(await ctx.read(saliency), expected).maxAbsolute).toBeLessThan(5e-5);
    const enhancement = giftEnhancement(maps, { image, question }, expected, 3);
    const heads = new Map(
      maps.flatMap((_, h) => {
        const operation = giftOperation(enhancement, { image, question }, h, TOKENS_K);
        return operation ? [[h, operation] as const] : [];
      }),
    );
    const { out } = interventionReference({ ...dense, ...options, heads });
    expect(difference(await ctx.read(tensors.out), out).maxRelative).toBeLessThan(tolerance);
    for (const plan of plans) plan.destroy();
    for (const buffer of buffers) buffer.destroy();
  },
);
