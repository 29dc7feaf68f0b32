import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCaseInputs } from "../../kernels/softmax/case-inputs.js";
import { SOFTMAX_CASES, shapesOf, TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import { softmaxAttention } from "../../kernels/softmax/index.js";
import { softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import { AttentionContext } from "../../src/index.js";
import { difference } from "../support/compare.js";
import { testDevice } from "../support/gpu.js";
import { normalArray, randomSource } from "../support/random.js";

// A device that was requested without any feature or limit has WebGPU's guaranteed minimum of both.

const NAMES = [
  "head dim 15",
  "decode head dim 256",
  "head dim 256",
  "grouped heads 8 to 2",
  "both paddings, causal",
];

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await AttentionContext.create(await testDevice({}));
  ctx.fillScratch(Number.NaN);
});
afterAll(() => {
  ctx.destroy();
  ctx.device.destroy();
});

describe("on a device with minimum limits and no optional feature", () => {
  test("nothing optional is there", () => {
    expect(ctx.capabilities).toMatchObject({ f16: false, subgroups: false, timestamps: false });
    expect(ctx.capabilities.limits.maxStorageBuffersPerShaderStage).toBeLessThanOrEqual(10);
    expect(ctx.capabilities.limits.maxComputeWorkgroupStorageSize).toBe(16_384);
  });

  const chosen = SOFTMAX_CASES.filter(({ name }) => NAMES.includes(name) || name.startsWith("all options"));
  test.each(chosen)("softmax attention: $name", async (problem) => {
    const random = randomSource(3);
    const made = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
    const [q, k, v] = [made.q, made.k, made.v].map(({ data, shape }) => ctx.fromArray(data, shape));
    const bias = made.bias && ctx.fromArray(made.bias.data, made.bias.shape);
    const out = ctx.fromArray(
      new Float32Array(shapesOf(problem).out.reduce((a, b) => a * b)).fill(Number.NaN),
      shapesOf(problem).out,
    );
    await softmaxAttention(ctx, q!, k!, v!, { ...made.options, ...(bias && { bias }), out });
    const expected = softmaxAttentionReference({
      ...made,
      ...made.options,
      ...(made.bias && { bias: made.bias }),
    });
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  });
});
