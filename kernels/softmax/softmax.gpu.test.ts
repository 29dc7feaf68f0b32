import { describe, expect, test } from "vitest";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { SOFTMAX_CASES, shapesOf, TOLERANCE_F32 } from "./cases.js";
import { softmaxAttention } from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

const NAN = Number.NaN;

describe("softmax attention agrees with the float64 reference", () => {
  test.each(SOFTMAX_CASES)("$name", async (problem) => {
    const ctx = await testContext();
    const random = randomSource(1);
    const shapes = shapesOf(problem);
    const make = (shape: Shape4) => ({ data: normalArray(elementCount(shape), random), shape });
    const inputs = { q: make(shapes.q), k: make(shapes.k), v: make(shapes.v) };
    const upload = ({ data, shape }: { data: ArrayLike<number>; shape: Shape4 }) =>
      ctx.fromArray(data, shape);
    const [q, k, v] = [upload(inputs.q), upload(inputs.k), upload(inputs.v)];
    const out = ctx.fromArray(new Float32Array(elementCount(shapes.out)).fill(NAN), shapes.out);
    const [b, t, h] = shapes.out;
    const lse = ctx.fromArray(new Float32Array(b * t * h).fill(NAN), [b, t, h, 1]);

    await softmaxAttention(ctx, q, k, v, { ...problem.options, out, lse });

    const { keyLengths, queryOffset } = problem.options;
    const references =
      queryOffset === "end"
        ? keyLengths!.map((length) =>
            softmaxAttentionReference({ ...inputs, ...problem.options, queryOffset: length - t }),
          )
        : undefined;
    const expected = softmaxAttentionReference({
      ...inputs,
      ...problem.options,
      queryOffset: queryOffset === "end" ? 0 : queryOffset,
    });
    // With "end" every batch entry has an offset of its own: take each entry from its own reference.
    references?.forEach((reference, entry) => {
      const row = elementCount(shapes.out) / b;
      expected.out.set(reference.out.subarray(entry * row, (entry + 1) * row), entry * row);
      expected.lse.set(reference.lse.subarray(entry * t * h, (entry + 1) * t * h), entry * t * h);
    });

    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    expect(difference(await ctx.read(lse), expected.lse).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    for (const { buffer } of [q, k, v, out, lse]) buffer.destroy();
  });
});
