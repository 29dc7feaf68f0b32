import { beforeAll, describe, expect, test, vi } from "vitest";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext, TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { TOLERANCE_F32 } from "./cases.js";
import { flowAttention, flowStateShape, planFlowAttention } from "./index.js";
import { flowAttentionReference } from "./reference.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const random = randomSource(7);
const noise = (shape: Shape4) => ({ data: normalArray(elementCount(shape), random), shape });
const upload = ({ data, shape }: ReturnType<typeof noise>) => ctx.fromArray(data, shape);
const nanTensor = (shape: Shape4) =>
  ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape);

function submit(record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = ctx.device.createCommandEncoder();
  record(encoder);
  ctx.device.queue.submit([encoder.finish()]);
}

describe("a plan", () => {
  test.each([
    ["whole", 70, false],
    ["causal", 70, true],
    ["one token", 1, true],
  ] as const)(
    "records %s twice with bitwise equal results, without allocating or submitting",
    async (_name, tokens, causal) => {
      const shape: Shape4 = [2, tokens, 2, 16];
      const [q, k, v] = [noise(shape), noise(shape), noise(shape)].map(upload) as [
        TensorView,
        TensorView,
        TensorView,
      ];
      const outs = [nanTensor(shape), nanTensor(shape)] as const;
      const plan = await planFlowAttention(ctx, { q, k, v, causal });
      for (const out of outs) submit((encoder) => plan.record(encoder, { q, k, v, out }));
      const [first, second] = [await ctx.read(outs[0]), await ctx.read(outs[1])];
      expect(first.every(Number.isFinite)).toBe(true);
      expect(new Uint32Array(second.buffer)).toEqual(new Uint32Array(first.buffer));

      const encoder = ctx.device.createCommandEncoder();
      const spies = [
        vi.spyOn(ctx.device, "createBuffer"),
        vi.spyOn(ctx.device, "createBindGroup"),
        vi.spyOn(ctx.device, "createComputePipelineAsync"),
        vi.spyOn(ctx.device.queue, "submit"),
        vi.spyOn(ctx.device.queue, "writeBuffer"),
      ];
      plan.record(encoder, { q, k, v, out: outs[0] });
      for (const spy of spies) {
        expect(spy).not.toHaveBeenCalled();
        spy.mockRestore();
      }
      plan.destroy();
    },
  );

  test("submitted segment by segment gives what the whole gives", async () => {
    const shape: Shape4 = [1, 130, 3, 16];
    const [q, k, v] = [noise(shape), noise(shape), noise(shape)].map(upload) as [
      TensorView,
      TensorView,
      TensorView,
    ];
    const outs = [nanTensor(shape), nanTensor(shape)] as const;
    const plan = await planFlowAttention(ctx, { q, k, v, causal: true });
    submit((encoder) => plan.record(encoder, { q, k, v, out: outs[0] }));
    for (const segment of plan.segments)
      submit((encoder) => segment.record(encoder, { q, k, v, out: outs[1] }));
    expect(await ctx.read(outs[1])).toEqual(await ctx.read(outs[0]));
    plan.destroy();
  });

  test("reads lengths from a buffer at every record", async () => {
    const shape: Shape4 = [2, 70, 1, 8];
    const inputs = { q: noise(shape), k: noise(shape), v: noise(shape) };
    const tensors = {
      q: upload(inputs.q),
      k: upload(inputs.k),
      v: upload(inputs.v),
      out: nanTensor(shape),
    };
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const keyLengths = ctx.device.createBuffer({ size: 8, usage });
    const plan = await planFlowAttention(ctx, { ...tensors, keyLengths });
    // 1000 stands for all there are.
    for (const lengths of [
      [70, 3],
      [1000, 64],
    ]) {
      ctx.device.queue.writeBuffer(keyLengths, 0, new Uint32Array(lengths));
      submit((encoder) => plan.record(encoder, tensors));
      const expected = flowAttentionReference({
        ...inputs,
        keyLengths: lengths.map((length) => Math.min(length, 70)),
      });
      expect(difference(await ctx.read(tensors.out), expected).maxRelative).toBeLessThanOrEqual(
        TOLERANCE_F32,
      );
    }
    plan.destroy();
  });
});

describe("views", () => {
  test.each([false, true])("of a fused qkv buffer and of one head for all, causal %s", async (causal) => {
    const [B, T, H, D] = [2, 70, 2, 8];
    const fused = noise([B, T, 1, 3 * H * D]);
    const { buffer } = upload(fused);
    const part = (index: number, heads = H): TensorView => ({
      buffer,
      dtype: "f32",
      shape: [B, T, H, D],
      strides: [T * 3 * H * D, 3 * H * D, heads === 1 ? 0 : D, 1],
      offset: index * H * D,
    });
    const dense = (index: number, heads = H) => ({
      shape: [B, T, H, D] as Shape4,
      data: Float32Array.from({ length: B * T * H * D }, (_, i) => {
        const [d, h, row] = [i % D, Math.floor(i / D) % H, Math.floor(i / (D * H))];
        return fused.data[row * 3 * H * D + index * H * D + (heads === 1 ? 0 : h * D) + d]!;
      }),
    });
    const { out } = await flowAttention(ctx, part(0), part(1, 1), part(2), { causal });
    const expected = flowAttentionReference({ q: dense(0), k: dense(1, 1), v: dense(2), causal });
    expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    for (const one of [buffer, out.buffer]) one.destroy();
  });
});

describe("a call", () => {
  const shape: Shape4 = [1, 3, 2, 8];
  const inputs = () =>
    [noise(shape), noise(shape), noise(shape)].map(upload) as [TensorView, TensorView, TensorView];

  test("writes where it is told", async () => {
    const [q, k, v] = inputs();
    const out = nanTensor(shape);
    const stateOut = nanTensor(flowStateShape(1, 2, 8, 8));
    const result = await flowAttention(ctx, q, k, v, { causal: true, out, stateOut });
    expect(result).toEqual({ out, stateOut });
    expect((await ctx.read(stateOut)).every(Number.isFinite)).toBe(true);
  });

  test("refuses to write the state over the one that it reads", async () => {
    const [q, k, v] = inputs();
    const state = ctx.empty(flowStateShape(1, 2, 8, 8));
    const destroyed = vi.spyOn(ctx, "empty");
    const call = flowAttention(ctx, q, k, v, { causal: true, state, stateOut: state });
    await expect(call).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/state/),
    });
    destroyed.mockRestore();
  });

  test("frees what it allocated when it fails", async () => {
    const [q, k, v] = inputs();
    const empty = vi.spyOn(ctx, "empty");
    v.buffer.destroy();
    await expect(flowAttention(ctx, q, k, v)).rejects.toMatchObject({ code: "disposed" });
    const { buffer } = empty.mock.results[0]!.value as TensorView;
    empty.mockRestore();
    // A destroyed buffer cannot be mapped or written; writing to it is a validation error.
    ctx.device.pushErrorScope("validation");
    submit((encoder) => encoder.clearBuffer(buffer));
    expect(await ctx.device.popErrorScope()).not.toBeNull();
  });
});
