import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import {
  planEmbedding,
  planL2Normalize,
  planLayerNorm,
  planMeanPool,
  planRope,
  sinusoidalPositions,
} from "./index.js";
import { l2NormalizeReference, layerNormReference, meanPoolReference, ropeReference } from "./reference.js";
import { contextAsOnGpu, expectForGpu, TestTensors } from "./test-tensors.js";

const TOLERANCE = 1e-5;
const DIMS = [1, 3, 5, 17, 64, 65, 130, 512];
const LAYOUTS = ["dense", "sparse"] as const;
const DIMS_AND_LAYOUTS = DIMS.flatMap((dim) => LAYOUTS.map((layout) => [dim, layout] as const));

describe.each([
  ["this adapter", testContext, false],
  ["a GPU", contextAsOnGpu, true],
] as const)("layers, planned for %s", (_, createContext, asOnGpu) => {
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
    test.each([
      ["f32", 17, "dense", undefined],
      ["f16", 64, "sparse", 4],
      ["q8", 65, "dense", 4],
      ["q4", 130, "sparse", undefined],
    ] as const)("%s, dim %i, %s, parts of %s rows", async (dtype, dim, layout, partRows) => {
      const [batches, tokens, vocabulary] = [2, 5, 9];
      const upload = uploader(layout);
      // The last id lies past the table's end.
      const ids = [0, 8, 3, 3, 1, 2, 0, 0, 7, 99];
      const typeIds = [0, 1, 1, 0, 2, 1, 0, 0, 1, 9];
      const table = tensors.weights(dtype, vocabulary, dim, partRows);
      const [positions, types] = [tensors.normal(6 * dim), tensors.normal(3 * dim)];
      const views = {
        positions: upload(positions, [1, 6, 1, dim]),
        types: upload(types, [1, 3, 1, dim]),
        out: upload(nan(batches * tokens * dim), [batches, tokens, 1, dim]),
      };
      // Tokens of the first entry stand at 1 to 5; of the second at -1, which has position 0, to 3.
      const lengths = [6, 4];
      const plan = await planEmbedding(ctx, {
        ...{ batches, tokens, table: table.matrix, scale: 2, lengths: tensors.uploadU32(lengths) },
        ...views,
      });
      const buffers = { ids: tensors.uploadU32(ids), typeIds: tensors.uploadU32(typeIds) };
      const actual = await tensors.run(plan, { ...buffers, ...views });

      const expected = Float64Array.from({ length: ids.length * dim }, (_, n) => {
        const [row, c] = [Math.floor(n / dim), n % dim];
        const position = Math.max(0, lengths[Math.floor(row / tokens)]! - tokens + (row % tokens));
        const [id, kind] = [Math.min(ids[row]!, vocabulary - 1), Math.min(typeIds[row]!, 2)];
        return 2 * table.values[id * dim + c]! + positions[position * dim + c]! + types[kind * dim + c]!;
      });
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    });

    test("the table alone, and positions from 0", async () => {
      const { matrix, values } = tensors.weights("f32", 2, 3);
      const positions = tensors.normal(6);
      const ids = tensors.uploadU32([1, 0]);
      const views = { positions: tensors.upload(positions, [1, 2, 1, 3]), out: tensors.empty([1, 2, 1, 3]) };
      const plain = { batches: 1, tokens: 2, table: matrix };
      expect(await tensors.run(await planEmbedding(ctx, plain), { ids, out: views.out })).toEqual(
        Float32Array.from([...values.slice(3), ...values.slice(0, 3)]),
      );
      const plan = await planEmbedding(ctx, { ...plain, positions: views.positions });
      const expected = [...values.slice(3), ...values.slice(0, 3)].map((value, n) => value + positions[n]!);
      expect(difference(await tensors.run(plan, { ids, ...views }), expected).maxRelative).toBeLessThan(1e-6);
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
      const plan = await planLayerNorm(ctx, { ...views, epsilon: 1e-6 });
      if (asOnGpu) expectForGpu(plan.passes);
      const actual = await tensors.run(plan, views);
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
      const plan = await planL2Normalize(ctx, views);
      if (asOnGpu) expectForGpu(plan.passes);
      const actual = await tensors.run(plan, views);
      const expected = l2NormalizeReference({ data: x, rows: 6, columns: dim }, 1e-12);
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    });
  });

  describe("rope", () => {
    test.each([
      [false, "dense"],
      [true, "sparse"],
    ] as const)("interleaved: %s, %s", async (interleaved, layout) => {
      const upload = uploader(layout);
      const shape = [2, 5, 3, 10] as const;
      const x = tensors.normal(300);
      const views = { x: upload(x, shape), out: upload(nan(300), shape) };
      // Two channels of ten stay; many turns a token, and a turn the other way round.
      const frequencies = [1, 40.7, 0.01, -0.3];
      const actual = await tensors.run(await planRope(ctx, { ...views, frequencies, interleaved }), views);
      const expected = ropeReference(x, shape, { frequencies, interleaved });
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
