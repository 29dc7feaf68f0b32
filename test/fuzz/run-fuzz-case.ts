import { type DenseData, makeCaseInputs, rounded } from "../../kernels/softmax/case-inputs.js";
import { type SoftmaxCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import { withHiddenNaN } from "../../kernels/softmax/check-case.js";
import type { SoftmaxConfiguration } from "../../kernels/softmax/configuration.js";
import { planSoftmaxAttention } from "../../kernels/softmax/index.js";
import type { SoftmaxOptions } from "../../kernels/softmax/options.js";
import { softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext } from "../../src/index.js";
import { normalArray, randomSource } from "../support/random.js";
import {
  registerConfiguration,
  sharedConfiguration,
  stagedConfiguration,
} from "../support/softmax-configurations.js";
import { expectWritten } from "./expect-written.js";
import { placedData, placedLayout, placedSize } from "./placement.js";
import type { FuzzCase } from "./softmax-arbitrary.js";

type Options = ReturnType<typeof makeCaseInputs>["options"];

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
    const given = fuzz.buffers ? inBuffers(ctx, problem, made.options, buffers) : made.options;
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

/** The options with their arrays uploaded, in the forms that `SoftmaxOptions` describes. */
function inBuffers(
  ctx: AttentionContext,
  problem: SoftmaxCase,
  { keyStarts, keyLengths, keyMask, sinkLogits, ...plain }: Options,
  created: GPUBuffer[],
): Omit<SoftmaxOptions, "bias"> {
  const upload = (data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): GPUBuffer => {
    const usage = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    const buffer = ctx.device.createBuffer({ size: data.byteLength, usage });
    ctx.device.queue.writeBuffer(buffer, 0, data);
    created.push(buffer);
    return buffer;
  };
  return {
    ...plain,
    ...(keyStarts && { keyStarts: upload(Uint32Array.from(keyStarts)) }),
    ...(keyLengths && { keyLengths: upload(Uint32Array.from(keyLengths)) }),
    ...(keyMask && { keyMask: upload(maskBits(keyMask, problem)) }),
    ...(sinkLogits && { sinkLogits: upload(Float32Array.from(sinkLogits)) }),
  };
}

/** [B, ceil(Tk / 32)] words, lowest bit first; the bits past the last key are set, since nobody may mind them. */
function maskBits(
  mask: readonly number[],
  { batches, tokensK }: { batches: number; tokensK: number },
): Uint32Array<ArrayBuffer> {
  const words = Math.ceil(tokensK / 32);
  const bits = new Uint32Array(batches * words).fill(0xffffffff);
  mask.forEach((visible, i) => {
    const key = i % tokensK;
    if (!visible) bits[Math.floor(i / tokensK) * words + (key >> 5)]! &= ~(1 << (key & 31));
  });
  return bits;
}
