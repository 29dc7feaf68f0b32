import { describe, expect, test } from "vitest";
import { float16ToNumber, numberToFloat16 } from "../../src/dispatch/float16.js";
import { elementCount } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type DenseData, makeCaseInputs } from "./case-inputs.js";
import { SOFTMAX_CASES, type SoftmaxCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { rowsConfiguration, type SoftmaxConfiguration, tiledConfiguration } from "./configuration.js";
import { planSoftmaxAttention } from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

const rounded = ({ data, shape }: DenseData, dtype: "f32" | "f16"): DenseData =>
  dtype === "f32"
    ? { data, shape }
    : { shape, data: data.map((value) => float16ToNumber(numberToFloat16(value))) };

/** Runs a case into outputs full of NaN and compares it with the reference. */
async function check(problem: SoftmaxCase, configuration?: SoftmaxConfiguration): Promise<void> {
  const ctx = await testContext();
  const random = randomSource(1);
  const made = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
  const { dtype, kvDtype } = problem;
  const inputs = { q: rounded(made.q, dtype), k: rounded(made.k, kvDtype), v: rounded(made.v, kvDtype) };
  const shape = shapesOf(problem).out;
  const [b, t, h] = shape;
  const nan = (count: number) => new Float32Array(count).fill(Number.NaN);
  const tensors = {
    q: ctx.fromArray(inputs.q.data, inputs.q.shape, dtype),
    k: ctx.fromArray(inputs.k.data, inputs.k.shape, kvDtype),
    v: ctx.fromArray(inputs.v.data, inputs.v.shape, kvDtype),
    ...(made.bias && { bias: ctx.fromArray(made.bias.data, made.bias.shape) }),
    out: ctx.fromArray(nan(elementCount(shape)), shape, dtype),
    lse: ctx.fromArray(nan(b * t * h), [b, t, h, 1]),
  };

  const plan = await planSoftmaxAttention(
    ctx,
    { ...made.options, ...tensors },
    { ...(configuration && { configuration }) },
  );
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));

  const expected = softmaxAttentionReference({
    ...inputs,
    ...made.options,
    ...(made.bias && { bias: made.bias }),
  });
  const tolerance = dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32;
  expect(difference(await ctx.read(tensors.out), expected.out).maxRelative).toBeLessThanOrEqual(tolerance);
  expect(difference(await ctx.read(tensors.lse), expected.lse).maxRelative).toBeLessThanOrEqual(
    TOLERANCE_F32,
  );
  plan.destroy();
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
}

const prefills = SOFTMAX_CASES.filter(({ tokensQ }) => tokensQ > 8);

describe("softmax attention agrees with the float64 reference", () => {
  test.each(SOFTMAX_CASES)("$name", (problem) => check(problem, tiledConfiguration(problem)));
});

describe("the kernel without workgroup memory agrees too", () => {
  // Rolled loops, which compile in a fifth of the time and run the same text.
  test.each(prefills.filter((_, index) => index % 2 === 0))("$name", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, { ...rowsConfiguration(problem, capabilities), columns: 5, unroll: false });
  });

  test.each(prefills.filter((_, index) => index % 4 === 1))("$name, without subgroups", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, {
      ...rowsConfiguration(problem, capabilities),
      threads: 32,
      subgroups: false,
      unroll: false,
    });
  });

  test.each(prefills.filter((_, index) => index % 16 === 3))("$name, unrolled", async (problem) => {
    const { capabilities } = await testContext();
    await check(problem, { ...rowsConfiguration(problem, capabilities), rows: 2, keys: 4, columns: 4 });
  });
});

describe("the configuration that the table chooses for this device agrees too", () => {
  const names = ["head dim 64", "grouped heads 8 to 2", "all options, tiled", "f16 f16, head dim 40"];
  test.each(prefills.filter(({ name }) => names.includes(name)))("$name", (problem) => check(problem));
});
