import { describe, expect, test } from "vitest";
import { float16ToNumber, numberToFloat16 } from "../../src/dispatch/float16.js";
import { elementCount } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type DenseData, makeCaseInputs } from "./case-inputs.js";
import { SOFTMAX_CASES, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { softmaxAttention } from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

const rounded = ({ data, shape }: DenseData, dtype: "f32" | "f16"): DenseData =>
  dtype === "f32"
    ? { data, shape }
    : { shape, data: data.map((value) => float16ToNumber(numberToFloat16(value))) };

describe("softmax attention agrees with the float64 reference", () => {
  test.each(SOFTMAX_CASES)("$name", async (problem) => {
    const ctx = await testContext();
    const random = randomSource(1);
    const made = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
    const { dtype, kvDtype } = problem;
    const inputs = { q: rounded(made.q, dtype), k: rounded(made.k, kvDtype), v: rounded(made.v, kvDtype) };
    const q = ctx.fromArray(inputs.q.data, inputs.q.shape, dtype);
    const k = ctx.fromArray(inputs.k.data, inputs.k.shape, kvDtype);
    const v = ctx.fromArray(inputs.v.data, inputs.v.shape, kvDtype);
    const bias = made.bias && ctx.fromArray(made.bias.data, made.bias.shape);
    const shape = shapesOf(problem).out;
    const [b, t, h] = shape;
    const out = ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape, dtype);
    const lse = ctx.fromArray(new Float32Array(b * t * h).fill(Number.NaN), [b, t, h, 1]);

    await softmaxAttention(ctx, q, k, v, { ...made.options, ...(bias && { bias }), out, lse });

    const expected = softmaxAttentionReference({
      ...inputs,
      ...made.options,
      ...(made.bias && { bias: made.bias }),
    });
    const tolerance = dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32;
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(tolerance);
    expect(difference(await ctx.read(lse), expected.lse).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    for (const tensor of [q, k, v, bias, out, lse]) tensor?.buffer.destroy();
  });
});
