import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32FromHalves } from "../../src/dispatch/float16.js";
import { readWords } from "../../src/dispatch/read-back.js";
import { type AttentionContext, type DType, q8Layout, type TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { planQkv } from "./index.js";
import { matmulReference } from "./matmul-reference.js";
import { rmsNormReference } from "./reference.js";
import { contextAsOnGpu, expectForGpu, TestTensors } from "./test-tensors.js";

const [BATCHES, CAPACITY, HEADS, KV_HEADS, INNER] = [2, 12, 4, 2, 40];
/** Relative to the largest value. */
const TOLERANCE = { f32: 1e-5, f16: 1e-3, q8: 8e-3 };

interface Case {
  readonly name: string;
  readonly tokens: number;
  readonly lengths: readonly [number, number];
  readonly cache?: "f32" | "f16" | "q8";
  readonly headDim?: number;
  readonly norms?: boolean;
  readonly bias?: boolean;
  readonly partRows?: number;
}

const CASES: Case[] = [
  { name: "f32, with padding on the left", tokens: 2, lengths: [5, 1], bias: true },
  { name: "f16, with norms of heads", tokens: 1, lengths: [3, 12], cache: "f16", norms: true },
  { name: "f16, past a full cache", tokens: 3, lengths: [13, 3], cache: "f16", headDim: 6 },
  { name: "q8", tokens: 1, lengths: [1, 7], cache: "q8", norms: true, bias: true },
  { name: "q8, heads in several rounds", tokens: 2, lengths: [2, 7], cache: "q8", headDim: 80, norms: true },
  { name: "many rows, f16", tokens: 9, lengths: [9, 4], cache: "f16", bias: true },
  { name: "many rows, q8, with norms of heads", tokens: 9, lengths: [9, 12], cache: "q8", norms: true },
  { name: "heads in two parts", tokens: 1, lengths: [2, 2], norms: true, partRows: 28 },
];

describe.each([
  ["this adapter", testContext, false],
  ["a GPU", contextAsOnGpu, true],
] as const)("projections into a cache, planned for %s", (_, createContext, asOnGpu) => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await createContext();
    ctx.fillScratch(Number.NaN);
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  /** A cache whose memory holds NaN, in every way that it is read. */
  const cacheOf = (dtype: DType, headDim: number): TensorView => {
    const shape = [BATCHES, CAPACITY, KV_HEADS, headDim] as const;
    const row = { f32: 4 * headDim, f16: 2 * headDim, q8: 4 + headDim }[dtype];
    const buffer = tensors.uploadBytes(new Uint8Array(row * BATCHES * CAPACITY * KV_HEADS).fill(0xff));
    return dtype === "q8" ? { ...q8Layout(shape), buffer } : { buffer, dtype, shape };
  };

  /** Numbers of a cache, NaN where nothing was stored. */
  const readCache = async ({ buffer, dtype, shape: [, , , dim] }: TensorView): Promise<Float32Array> => {
    const { buffer: bytes } = await readWords(ctx, buffer, buffer.size / 4);
    if (dtype === "f32") return new Float32Array(bytes);
    if (dtype === "f16") return float32FromHalves(new Uint16Array(bytes));
    const rows = Array.from({ length: bytes.byteLength / (4 + dim) }, (_, row) => {
      const [scale] = new Float32Array(bytes, row * (4 + dim), 1);
      return Float32Array.from(new Int8Array(bytes, row * (4 + dim) + 4, dim), (n) => n * scale!);
    });
    return Float32Array.from(rows.flatMap((row) => [...row]));
  };

  test.each(CASES.map((c) => [c.name, c] as const))("%s", async (_, c) => {
    const { tokens, cache = "f32", headDim = 8, norms = false } = c;
    const rows = BATCHES * tokens;
    const outputs = (HEADS + 2 * KV_HEADS) * headDim;
    const x = tensors.normal(rows * INNER);
    const { matrix, values } = tensors.weights("q8", outputs, INNER, c.partRows);
    const vector = (length: number) => {
      const data = tensors.normal(length);
      return { data, view: tensors.upload(data, [1, 1, 1, length]) };
    };
    const norm = vector(INNER);
    const bias = c.bias ? vector(outputs) : undefined;
    const [queryNorm, keyNorm] = norms ? [vector(headDim), vector(headDim)] : [];
    const views = {
      x: tensors.upload(x, [BATCHES, tokens, 1, INNER]),
      q: tensors.empty([BATCHES, tokens, HEADS, headDim]),
      k: cacheOf(cache, headDim),
      v: cacheOf(cache, headDim),
    };
    const plan = await planQkv(ctx, {
      ...views,
      weight: matrix,
      norm: { kind: "rms", weight: norm.view },
      ...(bias && { bias: bias.view }),
      ...(queryNorm && { queryNorm: queryNorm.view }),
      ...(keyNorm && { keyNorm: keyNorm.view }),
      lengths: tensors.uploadU32(c.lengths),
    });
    if (asOnGpu) expectForGpu(plan.passes);
    const encoder = ctx.device.createCommandEncoder();
    plan.record(encoder, views);
    ctx.device.queue.submit([encoder.finish()]);
    plan.destroy();

    const all = matmulReference(
      { data: x, rows, columns: INNER },
      { data: values, rows: outputs, columns: INNER },
      { norm: { kind: "rms", weight: norm.data, epsilon: 1e-6 }, ...(bias && { bias: bias.data }) },
    );
    /** Heads [from, from + count) of every row, normalised: [rows, count, headDim]. */
    const part = (from: number, count: number, weight?: Float32Array): Float64Array => {
      const data = Float64Array.from({ length: rows * count * headDim }, (_, n) => {
        const row = Math.floor(n / (count * headDim));
        return all[row * outputs + from * headDim + (n % (count * headDim))]!;
      });
      return weight ? rmsNormReference({ data, rows: rows * count, columns: headDim }, 1e-6, weight) : data;
    };
    const expectedCache = (from: number, weight?: Float32Array): Float64Array => {
      const own = part(from, KV_HEADS, weight);
      const width = KV_HEADS * headDim;
      const expected = new Float64Array(BATCHES * CAPACITY * width).fill(Number.NaN);
      for (let row = 0; row < rows; row++) {
        const [b, t] = [Math.floor(row / tokens), row % tokens];
        const place = c.lengths[b]! - tokens + t;
        if (place < 0 || place >= CAPACITY) continue;
        expected.set(own.subarray(row * width, (row + 1) * width), (b * CAPACITY + place) * width);
      }
      return expected;
    };
    const close = (actual: Float32Array, expected: Float64Array, dtype: "f32" | "f16" | "q8") => {
      const stored = [...expected.keys()].filter((n) => !Number.isNaN(expected[n]!));
      expect(
        difference(
          stored.map((n) => actual[n]!),
          stored.map((n) => expected[n]!),
        ).maxRelative,
      ).toBeLessThanOrEqual(TOLERANCE[dtype]);
      const left = [...expected.keys()].filter((n) => Number.isNaN(expected[n]!));
      expect(left.every((n) => Number.isNaN(actual[n]!))).toBe(true);
    };

    close(await ctx.read(views.q), part(0, HEADS, queryNorm?.data), "f32");
    close(await readCache(views.k), expectedCache(HEADS, keyNorm?.data), cache);
    close(await readCache(views.v), expectedCache(HEADS + KV_HEADS), cache);
  });
});
