import { type DenseData, makeCaseInputs, rounded } from "../../kernels/softmax/case-inputs.js";
import { shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import { withHiddenNaN } from "../../kernels/softmax/check-case.js";
import type { SoftmaxConfiguration } from "../../kernels/softmax/configuration.js";
import { planSoftmaxAttention } from "../../kernels/softmax/index.js";
import { softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext } from "../../src/index.js";
import { optionsInBuffers } from "../support/option-buffers.js";
import { placedData, placedLayout, placedSize } from "../support/placement.js";
import { normalArray, randomSource } from "../support/random.js";
import {
  registerConfiguration,
  sharedConfiguration,
  stagedConfiguration,
} from "../support/softmax-configurations.js";
import { expectWritten } from "./expect-written.js";
import type { FuzzCase } from "./softmax-arbitrary.js";

/** Throws, with the numbers, unless the outputs agree with the reference and nothing beside them was written. */
export async function runFuzzCase(ctx: AttentionContext, fuzz: FuzzCase): Promise<void> {
  const { problem, placements, dataSeed } = fuzz;
  const random = randomSource(dataSeed);
  const made = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
  const { dtype, kvDtype } = problem;
  const dense = { q: rounded(made.q, dtype), k: rounded(made.k, kvDtype), v: rounded(made.v, kvDtype) };
  const { out } = shapesOf(problem);

  const buffers: GPUBuffer[] = [];
  const place = (
    name: keyof typeof placements,
    given: Partial<DenseData> & { shape: Shape4 },
    type = dtype,
  ) => {
    const layout = placedLayout(given.shape, type, placements[name]);
    const memory = given.data
      ? placedData(layout, given.data)
      : new Float32Array(placedSize(layout)).fill(Number.NaN);
    const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], type);
    buffers.push(buffer);
    return { ...layout, buffer };
  };
  const tensors = {
    q: place("q", dense.q),
    k: place("k", { ...dense.k, data: withHiddenNaN(dense.k, made.options) }, kvDtype),
    v: place("v", { ...dense.v, data: withHiddenNaN(dense.v, made.options) }, kvDtype),
    ...(made.bias && { bias: place("bias", made.bias, "f32") }),
    out: place("out", { shape: out }),
    lse: place("lse", { shape: [out[0], out[1], out[2], 1] }, "f32"),
  };

  try {
    const given = fuzz.buffers ? optionsInBuffers(ctx, problem.tokensK, made.options, buffers) : made.options;
    const plan = await planSoftmaxAttention(
      ctx,
      { ...given, ...tensors },
      { configuration: configurationOf(ctx, fuzz) },
    );
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
    const expected = softmaxAttentionReference({
      ...dense,
      ...made.options,
      ...(made.bias && { bias: made.bias }),
    });
    await expectWritten(
      ctx,
      "out",
      tensors.out,
      expected.out,
      dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
    );
    await expectWritten(ctx, "lse", tensors.lse, expected.lse, TOLERANCE_F32);
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}

function configurationOf(ctx: AttentionContext, { problem, kernel }: FuzzCase): SoftmaxConfiguration {
  const { capabilities } = ctx;
  if (kernel === "shared") return sharedConfiguration(problem);
  if (kernel === "staged") return stagedConfiguration(problem, capabilities.f16);
  const subgroups = kernel === "registers with subgroups" && capabilities.subgroups;
  return registerConfiguration(problem, { ...capabilities, subgroups }, { columns: 3, keysPerSplit: 24 });
}
