import { beforeAll, describe, expect, test, vi } from "vitest";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { AttentionContext, type TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { sharedConfiguration } from "../../test/support/softmax-configurations.js";
import { TOLERANCE_F32 } from "./cases.js";
import { planSoftmaxAttention, softmaxAttention } from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

const COPY_SRC = 0x04;
const COPY_DST = 0x08;
const STORAGE = 0x80;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const random = randomSource(7);
const noise = (shape: Shape4) => ({ data: normalArray(elementCount(shape), random), shape });
const nanTensor = (shape: Shape4) =>
  ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape);

function submit(record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = ctx.device.createCommandEncoder();
  record(encoder);
  ctx.device.queue.submit([encoder.finish()]);
}

describe("a plan", () => {
  test.each([
    ["prefill", [1, 40, 4, 16], [1, 40, 2, 16]],
    ["decode", [2, 1, 4, 16], [2, 600, 2, 16]],
  ] as [string, Shape4, Shape4][])(
    "records %s twice with bitwise equal results, without allocating or submitting",
    async (_name, qShape, kShape) => {
      const [q, k, v] = [qShape, kShape, kShape].map((shape) => ctx.fromArray(noise(shape).data, shape)) as [
        TensorView,
        TensorView,
        TensorView,
      ];
      const outs = [nanTensor(qShape), nanTensor(qShape)] as const;
      const plan = await planSoftmaxAttention(ctx, { q, k, v, causal: true });
      submit((encoder) => plan.record(encoder, { q, k, v, out: outs[0] }));
      submit((encoder) => plan.record(encoder, { q, k, v, out: outs[1] }));
      const [first, second] = [await ctx.read(outs[0]), await ctx.read(outs[1])];
      expect(first.every(Number.isFinite)).toBe(true);
      expect(new Uint32Array(second.buffer)).toEqual(new Uint32Array(first.buffer));

      const encoder = ctx.device.createCommandEncoder();
      const spies = [
        vi.spyOn(ctx.device, "createBuffer"),
        vi.spyOn(ctx.device, "createBindGroup"),
        vi.spyOn(ctx.device, "createComputePipelineAsync"),
        vi.spyOn(ctx.device, "createComputePipeline"),
        vi.spyOn(ctx.device.queue, "submit"),
        vi.spyOn(ctx.device.queue, "writeBuffer"),
      ];
      plan.record(encoder, { q, k, v, out: outs[0] });
      plan.record(encoder, { q, k, v, out: outs[1] });
      for (const spy of spies) {
        expect(spy).not.toHaveBeenCalled();
        spy.mockRestore();
      }
      ctx.device.queue.submit([encoder.finish()]);
      expect(new Uint32Array((await ctx.read(outs[0])).buffer)).toEqual(new Uint32Array(first.buffer));
      plan.destroy();
    },
  );

  test("replays as a cache grows: lengths come from a GPU buffer", async () => {
    const [heads, dim, capacity, batch] = [2, 8, 300, 2];
    const kData = noise([batch, capacity, heads, dim]);
    const vData = noise([batch, capacity, heads, dim]);
    const qData = noise([batch, 3, heads, dim]);
    const [q, k, v] = [qData, kData, vData].map(({ data, shape }) => ctx.fromArray(data, shape)) as [
      TensorView,
      TensorView,
      TensorView,
    ];
    const keyLengths = ctx.device.createBuffer({ size: 8, usage: STORAGE | COPY_SRC | COPY_DST });
    const plan = await planSoftmaxAttention(ctx, { q, k, v, causal: true, queryOffset: "end", keyLengths });
    for (const lengths of [
      [3, 7],
      [100, 64],
      [300, 299],
    ]) {
      const out = nanTensor([batch, 3, heads, dim]);
      ctx.device.queue.writeBuffer(keyLengths, 0, Uint32Array.from(lengths));
      submit((encoder) => plan.record(encoder, { q, k, v, out }));
      const actual = await ctx.read(out);
      lengths.forEach((length, entry) => {
        const one = softmaxAttentionReference({
          q: qData,
          k: kData,
          v: vData,
          causal: true,
          queryOffset: length - 3,
          keyLengths: lengths,
        });
        const row = actual.length / batch;
        const slice = (data: ArrayLike<number>) => Array.from(data).slice(entry * row, (entry + 1) * row);
        expect(difference(slice(actual), slice(one.out)).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
      });
    }
    plan.destroy();
  });

  test("bounds lengths that it reads from a buffer", async () => {
    const data = noise([1, 20, 1, 4]);
    const view = ctx.fromArray(data.data, data.shape);
    const keyLengths = ctx.device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC | COPY_DST });
    ctx.device.queue.writeBuffer(keyLengths, 0, Uint32Array.of(0xffffffff));
    const { out } = await softmaxAttention(ctx, view, view, view, { keyLengths });
    const expected = softmaxAttentionReference({ q: data, k: data, v: data });
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  });

  test("times its passes where the device can", async () => {
    if (!ctx.capabilities.timestamps) {
      expect(() => ctx.createProfiler()).toThrow(/timestamp-query/);
      return;
    }
    const q = ctx.fromArray(noise([1, 1, 1, 8]).data, [1, 1, 1, 8]);
    const k = ctx.fromArray(noise([1, 700, 1, 8]).data, [1, 700, 1, 8]);
    const out = nanTensor([1, 1, 1, 8]);
    const plan = await planSoftmaxAttention(ctx, { q, k, v: k });
    const profiler = ctx.createProfiler();
    submit((encoder) => {
      plan.record(encoder, { q, k, v: k, out }, { profiler });
      profiler.resolve(encoder);
    });
    const timings = await profiler.read();
    expect(timings.map(({ pass }) => pass)).toEqual(plan.passes.map(({ name }) => name));
    for (const { milliseconds } of timings) expect(milliseconds).toBeGreaterThanOrEqual(0);
    expect((await ctx.read(out)).every(Number.isFinite)).toBe(true);
    profiler.destroy();
    plan.destroy();
  });

  test("gives the same bits in segments that are submitted one by one", async () => {
    const shape: Shape4 = [1, 300, 2, 16];
    const [q, k, v] = [1, 2, 3].map(() => ctx.fromArray(noise(shape).data, shape)) as [
      TensorView,
      TensorView,
      TensorView,
    ];
    const outs = [nanTensor(shape), nanTensor(shape)] as const;
    const sizes = { batches: 1, tokensQ: 300, tokensK: 300, heads: 2, kvHeads: 2, headDim: 16, valueDim: 16 };
    const configuration = sharedConfiguration(sizes);
    const whole = await planSoftmaxAttention(ctx, { q, k, v, causal: true }, { configuration });
    submit((encoder) => whole.record(encoder, { q, k, v, out: outs[0] }));
    for (const maxDispatchMs of [10, 0.01]) {
      const cut = await AttentionContext.create(ctx.device, { maxDispatchMs });
      const plan = await planSoftmaxAttention(cut, { q, k, v, causal: true }, { configuration });
      expect(plan.segments.flatMap(({ passes }) => passes)).toEqual(plan.passes);
      for (const segment of plan.segments) {
        submit((encoder) => segment.record(encoder, { q, k, v, out: outs[1] }));
      }
      const [expected, actual] = [await ctx.read(outs[0]), await ctx.read(outs[1])];
      if (plan.passes.every(({ name }) => name === "softmax/tiled")) expect(actual).toEqual(expected);
      else expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
      plan.destroy();
      cut.destroy();
    }
  });

  test("shares a compilation in flight", async () => {
    const layout = { dtype: "f32", shape: [1, 30, 1, 11] } as const;
    const spy = vi.spyOn(ctx.device, "createComputePipelineAsync");
    await Promise.all([1, 2, 3].map(() => planSoftmaxAttention(ctx, { q: layout, k: layout, v: layout })));
    expect(spy).toHaveBeenCalledTimes(1);
    spy.mockRestore();
  });
});

describe("strided tensors", () => {
  const expectAttention = async (
    inputs: { q: TensorView; k: TensorView; v: TensorView; out?: TensorView },
    dense: { q: ReturnType<typeof noise>; k: ReturnType<typeof noise>; v: ReturnType<typeof noise> },
  ) => {
    const { q, k, v } = inputs;
    const { out } = await softmaxAttention(ctx, q, k, v, inputs.out ? { out: inputs.out } : {});
    const expected = softmaxAttentionReference(dense);
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  };

  test.each([8, 15, 64])("a fused qkv buffer needs no copy (head dim %i)", async (dim) => {
    const [batch, tokens, heads] = [2, 19, 3];
    const width = heads * dim;
    const fused = noise([batch, tokens, 3, width]);
    const buffer = ctx.fromArray(fused.data, fused.shape).buffer;
    const part = (index: number) => ({
      view: {
        buffer,
        dtype: "f32",
        shape: [batch, tokens, heads, dim],
        strides: [tokens * 3 * width, 3 * width, dim, 1],
        offset: index * width,
      } as TensorView,
      dense: {
        shape: [batch, tokens, heads, dim] as Shape4,
        data: Float32Array.from({ length: batch * tokens * width }, (_, i) => {
          const row = Math.floor(i / width);
          return fused.data[row * 3 * width + index * width + (i % width)]!;
        }),
      },
    });
    const [q, k, v] = [part(0), part(1), part(2)];
    await expectAttention({ q: q.view, k: k.view, v: v.view }, { q: q.dense, k: k.dense, v: v.dense });
  });

  test("[batch, heads, tokens, dim] memory, offsets that are not aligned, and a strided out", async () => {
    const [batch, tokens, heads, dim] = [2, 21, 2, 12];
    const shape: Shape4 = [batch, tokens, heads, dim];
    const dense = { q: noise(shape), k: noise(shape), v: noise(shape) };
    const bhtd = ({ data }: { data: Float32Array }, offset: number): TensorView => {
      const place = new Float32Array(data.length + offset).fill(Number.NaN);
      for (let i = 0; i < data.length; i++) {
        const [b, t, h, d] = [
          Math.floor(i / (tokens * heads * dim)),
          Math.floor(i / (heads * dim)) % tokens,
          Math.floor(i / dim) % heads,
          i % dim,
        ];
        place[offset + ((b * heads + h) * tokens + t) * dim + d] = data[i]!;
      }
      const { buffer } = ctx.fromArray(place, [1, 1, 1, place.length]);
      return { buffer, dtype: "f32", shape, strides: [heads * tokens * dim, dim, tokens * dim, 1], offset };
    };
    const out = {
      ...nanTensor([batch, heads, tokens, dim + 3]),
      shape,
      strides: [heads * tokens * (dim + 3), dim + 3, tokens * (dim + 3), 1],
      offset: 2,
    } as TensorView;
    await expectAttention({ q: bhtd(dense.q, 0), k: bhtd(dense.k, 5), v: bhtd(dense.v, 77), out }, dense);
  });

  test("channels that are not neighbours, and a broadcast batch", async () => {
    const [tokens, heads, dim] = [10, 2, 6];
    const data = noise([1, tokens, heads, dim]);
    // [heads, dim, tokens] in memory
    const transposed = Float32Array.from({ length: data.data.length }, (_, i) => {
      const [h, d, t] = [Math.floor(i / (dim * tokens)), Math.floor(i / tokens) % dim, i % tokens];
      return data.data[(t * heads + h) * dim + d]!;
    });
    const { buffer } = ctx.fromArray(transposed, [1, heads, dim, tokens]);
    const view: TensorView = {
      buffer,
      dtype: "f32",
      shape: [2, tokens, heads, dim],
      strides: [0, 1, dim * tokens, tokens],
    };
    const twice = {
      shape: [2, tokens, heads, dim] as Shape4,
      data: Float32Array.from([...data.data, ...data.data]),
    };
    await expectAttention({ q: view, k: view, v: view }, { q: twice, k: twice, v: twice });
  });
});
