import type { AttentionContext, TensorView } from "webgpu-attention";
import type { Grid, PoolOptions } from "webgpu-attention/agent";
import { planLinear } from "webgpu-attention/layers";
import type { CaseBuffers } from "./case-buffers.js";
import { numbersOf, requireTensor, type VerifyCase } from "./verify-case.js";

/**
 * PVT's reduced tokens, [B, rows / r · columns / r, 1, C]: a convolution of r x r patches side by side is a sum of r² linear maps
 * of every r-th row and column.
 */
export async function reducedRows(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
  x: TensorView,
  grid: Grid,
): Promise<TensorView> {
  const ratio = testCase.params.sr_ratio as number;
  const [batch, , , inner] = x.shape;
  const [rows, columns] = grid.map((size) => size / ratio) as [number, number];
  const stored = requireTensor(testCase, "w.sr.weight");
  const bias = testCase.tensors.get("w.sr.bias");
  const outer = stored.shape[0]!;
  const taps = ratio * ratio;
  const weights = buffers.upload(numbersOf(stored));
  let sum: TensorView | undefined;
  for (let tap = 0; tap < taps; tap++) {
    const weight: TensorView = {
      buffer: weights,
      dtype: "f32",
      shape: [1, 1, inner, outer],
      strides: [0, 0, taps, inner * taps],
      offset: tap,
    };
    const pixels = columns * ratio;
    const patch: TensorView = {
      ...x,
      shape: [batch * rows, columns, 1, inner],
      strides: [ratio * pixels * inner, ratio * inner, inner, 1],
      offset: (Math.floor(tap / ratio) * pixels + (tap % ratio)) * inner,
    };
    const shape = [batch * rows, columns, 1, outer] as const;
    const out: TensorView = { buffer: buffers.nan(batch * rows * columns * outer), dtype: "f32", shape };
    const tensors = {
      ...{ x: patch, weight, out },
      ...(tap === 0 &&
        bias && {
          bias: { buffer: buffers.upload(numbersOf(bias)), dtype: "f32", shape: [1, 1, 1, outer] } as const,
        }),
      ...(sum && { residual: sum }),
    };
    const plan = await planLinear(ctx, tensors);
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
    sum = out;
  }
  return { ...sum!, shape: [batch, rows * columns, 1, outer] };
}

/** Rows [B, N, C] without the class token as [entries, C, rows, columns], where the windows of an image are entries. */
export function entryImages(
  rows: Float32Array,
  length: number,
  { params }: VerifyCase,
  { grid: [height, width], classToken }: PoolOptions,
): Float32Array {
  const channels = params.C as number;
  const resolution = params.resolution as number | undefined;
  const [across, down] = resolution ? [resolution / width, resolution / height] : [1, 1];
  const first = classToken ? 1 : 0;
  const tokens = first + height * width * across * down;
  return Float32Array.from({ length }, (_, index) => {
    const [x, y] = [index % width, Math.floor(index / width) % height];
    const channel = Math.floor(index / (width * height)) % channels;
    const entry = Math.floor(index / (width * height * channels));
    const window = entry % (across * down);
    const line = Math.floor(window / across) * height + y;
    const token = first + line * width * across + (window % across) * width + x;
    return rows[(Math.floor(entry / (across * down)) * tokens + token) * channels + channel]!;
  });
}

/** A square matrix of two values, row-major. */
export function squareOf(side: number, diagonal: number, elsewhere: number): Float32Array {
  return Float32Array.from({ length: side * side }, (_, index) =>
    index % (side + 1) === 0 ? diagonal : elsewhere,
  );
}
