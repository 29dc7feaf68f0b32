import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { planEmbedding, planL2Normalize, planLayerNorm, planMeanPool, sinusoidalPositions } from "./index.js";
import {
  embeddingReference,
  l2NormalizeReference,
  layerNormReference,
  meanPoolReference,
} from "./reference.js";
import { contextAsOnGpu, TestTensors } from "./test-tensors.js";

const TOLERANCE = 1e-5;
const DIMS = [1, 3, 5, 17, 64, 65, 130, 512];
const LAYOUTS = ["dense", "sparse"] as const;
const DIMS_AND_LAYOUTS = DIMS.flatMap((dim) => LAYOUTS.map((layout) => [dim, layout] as const));

describe.each([
  ["this adapter", testContext],
  ["a GPU", contextAsOnGpu],
] as const)("layers, planned for %s", (_, createContext) => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await createContext();
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  const uploader = (layout: (typeof LAYOUTS)[number]) =>
    layout === "dense" ? tensors.upload.bind(tensors) : tensors.uploadSparse.bind(tensors);

  const nan = (count: number) => new Float32Array(count).fill(Number.NaN);

  describe("embedding", () => {
    test.each(DIMS_AND_LAYOUTS)("dim %i, %s", async (dim, layout) => {
      const [batches, tokens, vocabulary] = [2, 5, 9];
      const upload = uploader(layout);
      const ids = [0, 8, 3, 3, 1, 2, 0, 0, 7, 4];
      const table = tensors.normal(vocabulary * dim);
      const positions = tensors.normal(tokens * dim);
      const views = {
        ids: tensors.uploadU32(ids),
        table: upload(table, [1, 1, vocabulary, dim]),
        positions: upload(positions, [1, tokens, 1, dim]),
        out: upload(nan(batches * tokens * dim), [batches, tokens, 1, dim]),
      };
      const { table: tableLayout, positions: positionsLayout, out } = views;
      const problem = { batches, tokens, table: tableLayout, positions: positionsLayout, out, scale: 2 };

      const actual = await tensors.run(await planEmbedding(ctx, problem), views);

      const expected = embeddingReference(ids, { data: table, rows: vocabulary, columns: dim }, 2, {
        data: positions,
        rows: tokens,
        columns: dim,
      });
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    });

    test("without positions, and ids past the table's end", async () => {
      const table = tensors.normal(6);
      const views = {
        ids: tensors.uploadU32([1, 99]),
        table: tensors.upload(table, [1, 1, 2, 3]),
        out: tensors.empty([1, 2, 1, 3]),
      };
      const plan = await planEmbedding(ctx, { batches: 1, tokens: 2, table: views.table });
      expect(await tensors.run(plan, views)).toEqual(
        Float32Array.from([...table.slice(3), ...table.slice(3)]),
      );
    });

    test("sinusoidal positions", () => {
      const signal = sinusoidalPositions([1, 0.5], 3);
      expect([...signal.slice(0, 4)]).toEqual([0, 0, 1, 1]);
      const last = [Math.sin(2), Math.sin(1), Math.cos(2), Math.cos(1)];
      expect(signal.slice(8)).toEqual(Float32Array.from(last));
    });
  });

  describe("layer norm", () => {
    test.each(DIMS_AND_LAYOUTS)("dim %i, %s", async (dim, layout) => {
      const [batches, tokens] = [2, 3];
      const upload = uploader(layout);
      // Far from zero: E[x²] - mean² would lose the variance.
      const x = tensors.normal(batches * tokens * dim).map((value) => value + 30);
      const scale = tensors.normal(dim);
      const bias = tensors.normal(dim);
      const views = {
        x: upload(x, [batches, tokens, 1, dim]),
        scale: upload(scale, [1, 1, 1, dim]),
        bias: upload(bias, [1, 1, 1, dim]),
        out: upload(nan(x.length), [batches, tokens, 1, dim]),
      };
      const actual = await tensors.run(await planLayerNorm(ctx, { ...views, epsilon: 1e-6 }), views);
      const expected = layerNormReference({ data: x, rows: 6, columns: dim }, scale, bias, 1e-6);
      // The input is rounded to 2^-19 around 30, which a deviation of about 1 shows.
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(2 * TOLERANCE);
    });
  });

  describe("l2 normalize", () => {
    test.each(DIMS_AND_LAYOUTS)("dim %i, %s", async (dim, layout) => {
      const upload = uploader(layout);
      const x = tensors.normal(6 * dim);
      x.fill(0, 0, dim);
      const views = { x: upload(x, [3, 2, 1, dim]), out: upload(nan(x.length), [3, 2, 1, dim]) };
      const actual = await tensors.run(await planL2Normalize(ctx, views), views);
      const expected = l2NormalizeReference({ data: x, rows: 6, columns: dim }, 1e-12);
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    });
  });

  describe("mean pool", () => {
    test.each(DIMS_AND_LAYOUTS)("dim %i, %s", async (dim, layout) => {
      const upload = uploader(layout);
      const [lengths, tokens] = [[0, 1, 7, 4], 7];
      const x = tensors.normal(lengths.length * tokens * dim);
      // Padding is never read, so nothing there can spoil the mean.
      lengths.forEach((length, b) => {
        x.fill(Number.NaN, (b * tokens + length) * dim, (b + 1) * tokens * dim);
      });
      const views = {
        x: upload(x, [lengths.length, tokens, 1, dim]),
        lengths: tensors.uploadU32(lengths),
        out: upload(nan(lengths.length * dim), [lengths.length, 1, 1, dim]),
      };
      const plan = await planMeanPool(ctx, { x: views.x, out: views.out });
      const actual = await tensors.run(plan, views);
      const expected = meanPoolReference({ data: x, rows: lengths.length * tokens, columns: dim }, lengths);
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    });
  });
});
