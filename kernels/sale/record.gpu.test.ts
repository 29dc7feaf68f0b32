import { beforeAll, describe, expect, test, vi } from "vitest";
import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext, TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { readBlockMask, softmaxAttention } from "../softmax/index.js";
import { planSaleAttention, type SalePlan, type SaleTensors, saleAttention } from "./index.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const SHAPE: Shape4 = [1, 450, 2, 32];
const OPTIONS = { thresholds: [0.05, 0.1], localWindow: 64 };
const random = randomSource(7);
const noise = (shape: Shape4) => ctx.fromArray(normalArray(elementCount(shape), random), shape);
const nanTensor = (shape: Shape4) =>
  ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape);
const inputs = () => ({ q: noise(SHAPE), k: noise(SHAPE), v: noise(SHAPE) });

function submit(record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = ctx.device.createCommandEncoder();
  record(encoder);
  ctx.device.queue.submit([encoder.finish()]);
}

describe("a plan", () => {
  test("records twice with bitwise equal results, without allocating or submitting", async () => {
    const given = inputs();
    const outs = [nanTensor(SHAPE), nanTensor(SHAPE)] as const;
    const plan = await planSaleAttention(ctx, { ...given, ...OPTIONS });
    for (const out of outs) submit((encoder) => plan.record(encoder, { ...given, out }));
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
    plan.record(encoder, { ...given, out: outs[0] });
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
    plan.destroy();
  });

  test("gives the same by its parts and by its segments", async () => {
    const given = inputs();
    const plan = await planSaleAttention(ctx, { ...given, ...OPTIONS });
    const ways: ((tensors: SaleTensors) => void)[] = [
      (tensors) => submit((encoder) => plan.record(encoder, tensors)),
      (tensors) => {
        for (const segment of plan.segments) submit((encoder) => segment.record(encoder, tensors));
      },
      (tensors) => {
        for (const part of [plan.selection, plan.attention])
          submit((encoder) => part.record(encoder, tensors));
      },
    ];
    const results: Float32Array[] = [];
    for (const run of ways) {
      const out = nanTensor(SHAPE);
      run({ ...given, out });
      results.push(await ctx.read(out));
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(plan.cost.flops).toBe(plan.selection.cost.flops + plan.attention.cost.flops);
    plan.destroy();
  });

  test("counts what it holds until it is destroyed", async () => {
    const given = inputs();
    const before = ctx.memory().scratchBytes;
    const plan = await planSaleAttention(ctx, { ...given, ...OPTIONS });
    expect(ctx.memory().scratchBytes).toBeGreaterThan(before);
    plan.destroy();
    expect(ctx.memory().scratchBytes).toBe(before);
  });

  test("refuses tensors unlike the plan before it records anything", async () => {
    const given = inputs();
    const plan = await planSaleAttention(ctx, { ...given, ...OPTIONS });
    const encoder = ctx.device.createCommandEncoder();
    const begin = vi.spyOn(encoder, "beginComputePass");
    const record = (tensors: object) => () => plan.record(encoder, { ...given, ...tensors } as SaleTensors);
    expect(record({})).toThrowError(expect.objectContaining({ code: "shape" }));
    expect(record({ out: given.q })).toThrowError(expect.objectContaining({ code: "unsupported" }));
    expect(record({ out: nanTensor([1, 450, 1, 32]) })).toThrowError(
      expect.objectContaining({ code: "shape" }),
    );
    expect(begin).not.toHaveBeenCalled();
    plan.destroy();
  });

  test("reads thresholds from a buffer at every record", async () => {
    const given = inputs();
    const out = nanTensor(SHAPE);
    const usage = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    const thresholds = ctx.device.createBuffer({ size: 8, usage });
    const changing = await planSaleAttention(ctx, { ...given, ...OPTIONS, thresholds });
    const masks: Uint8Array[] = [];
    for (const values of [
      [0.05, 0.1],
      [0, 5],
    ]) {
      ctx.device.queue.writeBuffer(thresholds, 0, Float32Array.from(values));
      submit((encoder) => changing.record(encoder, { ...given, out }));
      const fixed = await planSaleAttention(ctx, { ...given, ...OPTIONS, thresholds: values });
      submit((encoder) => fixed.record(encoder, { ...given, out }));
      masks.push(await readBlockMask(ctx, changing.blockMask));
      expect(masks.at(-1)).toEqual(await readBlockMask(ctx, fixed.blockMask));
      fixed.destroy();
    }
    expect(masks[1]).not.toEqual(masks[0]);
    changing.destroy();
  });
});

describe("the block mask", () => {
  const kept = async (plan: SalePlan, given: Omit<SaleTensors, "out">) => {
    submit((encoder) => plan.record(encoder, { ...given, out: nanTensor(SHAPE) }));
    const states = await readBlockMask(ctx, plan.blockMask);
    return states.map((state) => (state === 0 ? 0 : 1));
  };

  test("of a dense head is all that is causal, and of a strict one block 0 and the local blocks", async () => {
    const given = inputs();
    const plan = await planSaleAttention(ctx, { ...given, localWindow: 64, thresholds: [9e-6, 100] });
    const mask = await kept(plan, given);
    const row = (head: number, a: number) => [...mask.subarray((head * 8 + a) * 15, (head * 8 + a + 1) * 15)];
    expect(row(0, 5)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
    // 12 causal blocks, two of them local at least: segments of four leave room for two, blocks 1 to 8.
    expect(row(1, 5)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]);
    plan.destroy();
  });
});

describe("views", () => {
  test("of a fused qkv buffer", async () => {
    const [B, T, H, D] = SHAPE;
    const fused = normalArray(B * T * 3 * H * D, random);
    const { buffer } = ctx.fromArray(fused, [B, T, 1, 3 * H * D]);
    const part = (index: number): TensorView => ({
      buffer,
      dtype: "f32",
      shape: SHAPE,
      strides: [T * 3 * H * D, 3 * H * D, D, 1],
      offset: index * H * D,
    });
    const dense = (index: number) =>
      ctx.fromArray(
        Float32Array.from({ length: B * T * H * D }, (_, i) => {
          return fused[Math.floor(i / (H * D)) * 3 * H * D + index * H * D + (i % (H * D))]!;
        }),
        SHAPE,
      );
    const viewed = await saleAttention(ctx, part(0), part(1), part(2), OPTIONS);
    const copied = await saleAttention(ctx, dense(0), dense(1), dense(2), OPTIONS);
    expect(await ctx.read(viewed.out)).toEqual(await ctx.read(copied.out));
  });
});

describe("a call", () => {
  test("with thresholds of 0 is causal softmax attention, log-sum-exp and all", async () => {
    const { q, k, v } = inputs();
    const sparse = await saleAttention(ctx, q, k, v, { thresholds: 0, lse: true });
    const dense = await softmaxAttention(ctx, q, k, v, { causal: true, lse: true });
    const error = difference(await ctx.read(sparse.out), await ctx.read(dense.out)).maxRelative;
    expect(error).toBeLessThan(2e-6);
    expect(difference(await ctx.read(sparse.lse!), await ctx.read(dense.lse!)).maxRelative).toBeLessThan(
      2e-6,
    );
  });

  test("writes where it is told", async () => {
    const { q, k, v } = inputs();
    const out = nanTensor(SHAPE);
    const before = ctx.memory().scratchBytes;
    expect(await saleAttention(ctx, q, k, v, { ...OPTIONS, out })).toEqual({ out });
    expect((await ctx.read(out)).every(Number.isFinite)).toBe(true);
    expect(ctx.memory().scratchBytes).toBe(before);
  });
});
