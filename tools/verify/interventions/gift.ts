import type { AttentionContext, TensorView } from "webgpu-attention";
import { planGazeEnhancement, planGazeSaliency } from "webgpu-attention/calibration";
import { softmaxAttention } from "webgpu-attention/softmax";
import { inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor } from "../verify-case.js";

/** Inputs are rounded to float32, and so is what the authors' code makes of them. */
const TOLERANCE = 5e-5;

interface GiftParams {
  readonly H: number;
  readonly N: number;
  readonly d: number;
  readonly alpha: number;
  readonly content_offsets: readonly number[];
  readonly query: readonly [number, number];
  readonly vision: readonly [number, number];
}

/** Saliency, and the last row: what it makes of the values, and of unit vectors, which is its pattern. */
export const runGift: Mechanism = async (ctx, testCase, buffers) => {
  const { H, N, alpha, content_offsets, query, vision } = testCase.params as unknown as GiftParams;
  // Both ends are included in the file.
  const range = ([first, last]: readonly [number, number]) => [first, last + 1] as const;
  const [image, question] = [range(vision), range(query)];
  const [q, k, v] = ["q", "k", "v"].map((name) => inputView(testCase, buffers, `input.${name}`)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  const { out, lse } = (await softmaxAttention(ctx, q, k, v, { causal: true, lse: true })) as Record<
    "out" | "lse",
    TensorView
  >;
  const plain = Array.from(await ctx.read(out));
  const saliency: TensorView = {
    buffer: buffers.nan(image[1] - image[0]),
    dtype: "f32",
    shape: [1, image[1] - image[0], 1, 1],
  };
  const attention = { q, k, v, lse, causal: true };
  const contentRows = content_offsets.map((offset) => question[0] + offset);
  const looking = await planGazeSaliency(ctx, { ...attention, image, contentRows });
  await submit(ctx, (encoder) => looking.record(encoder, { q, k, lse, saliency }));
  const found = Array.from(await ctx.read(saliency));

  const enhanced = async (values: TensorView, into: TensorView) => {
    const plan = await planGazeEnhancement(ctx, {
      ...attention,
      v: values,
      out: into,
      image,
      question,
      alpha,
    });
    await submit(ctx, (encoder) => plan.record(encoder, { q, k, v: values, lse, saliency, out: into }));
    plan.destroy();
    return Array.from(await ctx.read(into));
  };
  const rows = await enhanced(v, out);
  const width = v.shape[3];
  const unit = new Float32Array(N * H * N);
  for (let row = 0; row < N * H; row++) unit[row * N + Math.floor(row / H)] = 1;
  const units: TensorView = { buffer: buffers.upload(unit), dtype: "f32", shape: [1, N, H, N] };
  const weights = await enhanced(units, {
    buffer: buffers.nan(N * H * N),
    dtype: "f32",
    shape: [1, N, H, N],
  });
  looking.destroy();
  out.buffer.destroy();
  lse.buffer.destroy();

  const last = (N - 1) * H;
  const compared = (name: string, actual: readonly number[]): ComparedOutput => ({
    name,
    actual,
    expected: numbersOf(requireTensor(testCase, name)),
    tolerance: TOLERANCE,
  });
  return [
    compared("expect.saliency64", found),
    compared(
      "expect.map",
      found.map((s) => Math.exp(alpha * s)),
    ),
    compared("expect.last_row64", weights.slice(last * N)),
    compared("expect.last_row", weights.slice(last * N)),
    compared("expect.out_last", rows.slice(last * width)),
    // Other rows stay, bit by bit.
    {
      name: "rows before the last",
      actual: rows.slice(0, last * width),
      expected: plain.slice(0, last * width),
      tolerance: 0,
    },
  ];
};

async function submit(ctx: AttentionContext, record: (encoder: GPUCommandEncoder) => void): Promise<void> {
  const encoder = ctx.device.createCommandEncoder();
  record(encoder);
  ctx.device.queue.submit([encoder.finish()]);
}
