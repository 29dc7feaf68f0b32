import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { type AttentionContext, AttentionError, q8Layout, type TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { TOLERANCE_F32 } from "./cases.js";
import {
  planSoftmaxAttention,
  type SoftmaxConfiguration,
  type SoftmaxOptions,
  softmaxAttention,
} from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

const random = randomSource(11);
const [BATCHES, HEADS, KV_HEADS, DIM] = [2, 4, 2, 12];

let ctx: AttentionContext;
const buffers: GPUBuffer[] = [];
beforeAll(async () => {
  ctx = await testContext();
});
afterAll(() => {
  for (const buffer of buffers) buffer.destroy();
});

/** Random numbers as q8 rows, and what these stand for. Rows from `filled` on hold NaN scales. */
function q8(shape: Shape4, filled: number): { view: TensorView; data: Float64Array } {
  const [, tokens, heads, dim] = shape;
  const rows = elementCount(shape) / dim;
  const bytes = new DataView(new ArrayBuffer(rows * (4 + dim)));
  const data = new Float64Array(elementCount(shape));
  for (let row = 0; row < rows; row++) {
    const own = normalArray(dim, random);
    const kept = Math.floor(row / heads) % tokens < filled;
    const scale = kept ? Math.fround(Math.max(...own.map(Math.abs)) / 127) : Number.NaN;
    bytes.setFloat32(row * (4 + dim), scale, true);
    for (let d = 0; d < dim; d++) {
      const n = kept ? Math.round(own[d]! / scale) : -1;
      bytes.setInt8(row * (4 + dim) + 4 + d, n);
      data[row * dim + d] = kept ? n * scale : 0;
    }
  }
  const buffer = ctx.device.createBuffer({ size: bytes.byteLength, usage: 0x80 | 0x08 });
  ctx.device.queue.writeBuffer(buffer, 0, bytes.buffer);
  buffers.push(buffer);
  return { view: { ...q8Layout(shape), buffer }, data };
}

const SPLIT: SoftmaxConfiguration = { kernel: "split", threads: 64, keysPerSplit: 32, f16: false };
const TILED: SoftmaxConfiguration = {
  kernel: "tiled",
  ...{ groups: 16, lanes: 4, rows: 2, keys: 2, staged: true, f16: false },
};

describe("q8 keys and values", () => {
  test.each<[string, number, SoftmaxOptions, SoftmaxConfiguration | undefined]>([
    ["a decode step with rotary embedding", 1, { rope: {} }, undefined],
    ["a decode step on a GPU", 2, { rope: {}, causal: true }, SPLIT],
    ["prefill", 20, { causal: true, softcap: 5 }, undefined],
    ["prefill on a GPU", 20, { causal: true, rope: {} }, TILED],
  ])("%s", async (_, tokens, options, configuration) => {
    const [capacity, filled] = [70, 61];
    const qShape: Shape4 = [BATCHES, tokens, HEADS, DIM];
    const kShape: Shape4 = [BATCHES, capacity, KV_HEADS, DIM];
    const q = normalArray(elementCount(qShape), random);
    const [k, v] = [q8(kShape, filled), q8(kShape, filled)];
    const views = { q: ctx.fromArray(q, qShape), k: k.view, v: v.view };
    const out = ctx.fromArray(new Float32Array(q.length).fill(Number.NaN), qShape);
    buffers.push(views.q.buffer, out.buffer);
    const known = { ...options, queryOffset: "end" as const, keyLengths: [filled, filled - 7] };
    const plan = await planSoftmaxAttention(
      ctx,
      { ...views, ...known },
      configuration ? { configuration } : {},
    );
    const encoder = ctx.device.createCommandEncoder();
    plan.record(encoder, { ...views, out });
    ctx.device.queue.submit([encoder.finish()]);
    plan.destroy();
    const { scoreMod: _s, maskMod: _m, bias: _b, ...plain } = known;
    const expected = softmaxAttentionReference({
      ...(plain as object),
      q: { data: q, shape: qShape },
      k: { data: k.data, shape: kShape },
      v: { data: v.data, shape: kShape },
    });
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
  });

  test("f16 queries, once", async () => {
    const shape: Shape4 = [1, 3, 2, 8];
    const q = ctx.fromArray(normalArray(48, random), shape, "f16");
    const [k, v] = [q8(shape, 3), q8(shape, 3)];
    const { out } = await softmaxAttention(ctx, q, k.view, v.view, { causal: true });
    buffers.push(q.buffer, out.buffer);
    const expected = softmaxAttentionReference({
      ...{ causal: true, q: { data: await ctx.read(q), shape } },
      ...{ k: { data: k.data, shape }, v: { data: v.data, shape } },
    });
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(2e-3);
  });

  test("rows without room for a scale are refused", async () => {
    const shape: Shape4 = [1, 3, 2, 8];
    const { view } = q8(shape, 3);
    const q = ctx.empty(shape);
    buffers.push(q.buffer);
    for (const k of [
      { buffer: view.buffer, dtype: "q8" as const, shape },
      { ...view, offset: 0 },
      { ...view, shape: [1, 3, 2, 6] as const },
    ])
      await expect(
        planSoftmaxAttention(ctx, { q: { ...q, shape: [1, 3, 2, k.shape[3]] }, k, v: view }),
      ).rejects.toSatisfy(
        (error) =>
          error instanceof AttentionError && error.code === "unsupported" && /q8Layout/.test(error.message),
      );
    await expect(planSoftmaxAttention(ctx, { q, k: view, v: q })).rejects.toMatchObject({ code: "dtype" });
  });
});
