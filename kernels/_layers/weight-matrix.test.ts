import { describe, expect, test } from "vitest";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import {
  checkWeightMatrix,
  paddedColumns,
  splitRows,
  WEIGHT_DTYPES,
  type WeightLayout,
  type WeightMatrix,
  weightBytes,
  weightRange,
} from "./weight-matrix.js";

const { limits } = minimumCapabilities();
const buffer = (size: number, usage = 0x80) => ({ size, usage }) as GPUBuffer;

describe("weight matrices", () => {
  test("columns are padded to whole blocks of 32", () => {
    expect([1, 32, 33, 64].map((columns) => paddedColumns({ columns }))).toEqual([32, 32, 64, 64]);
  });

  test.each([
    ["f32", 3 * 64 * 4],
    ["f16", 3 * 64 * 2],
    // 216 and 120 bytes, up to whole loads.
    ["q8", 224],
    ["q4", 128],
  ] as const)("bytes of [3, 40] %s", (dtype, bytes) => {
    expect(weightBytes({ dtype, rows: 3, columns: 40 })).toBe(bytes);
  });

  test("values of all rows stand before the scales of all rows", () => {
    const layout: WeightLayout = { dtype: "q4", rows: 10, columns: 64 };
    expect(weightRange(layout, 10, 4, 2)).toEqual({
      values: { offset: 4 * 32, size: 2 * 32 },
      scales: { offset: 10 * 32 + 4 * 8, size: 2 * 8 },
    });
    expect(weightRange({ ...layout, dtype: "f16" }, 10, 4, 2).scales.size).toBe(0);
  });

  test("f16, q8 and q4 take at most 0.5, 0.29 and 0.16 of f32", () => {
    const [f32, f16, q8, q4] = WEIGHT_DTYPES.map((dtype) => weightBytes({ dtype, rows: 64, columns: 4096 }));
    expect(f16! / f32!).toBe(0.5);
    expect(q8! / f32!).toBeLessThan(0.29);
    expect(q4! / f32!).toBeLessThan(0.16);
  });

  test("a matrix is split where a device binds less than all of it", () => {
    const layout: WeightLayout = { dtype: "f32", rows: 1000, columns: 32 };
    expect(splitRows(layout, limits)).toEqual([{ firstRow: 0, rows: 1000 }]);
    const small = { ...limits, maxStorageBufferBindingSize: 128 * 450 };
    expect(splitRows(layout, small)).toEqual([
      { firstRow: 0, rows: 448 },
      { firstRow: 448, rows: 448 },
      { firstRow: 896, rows: 104 },
    ]);
    // Rows of 36 bytes side by side; only their sum is padded.
    const q8 = { dtype: "q8", rows: 256, columns: 32 } as const;
    const fits = { ...limits, maxStorageBufferBindingSize: 36 * 128 + 12 };
    expect(splitRows(q8, fits).map(({ rows }) => rows)).toEqual([128, 128]);
    expect(splitRows(q8, { ...fits, maxBufferSize: 36 * 128 - 4 })).toHaveLength(4);
    expect(splitRows({ ...q8, rows: 2 }, { ...fits, maxBufferSize: 48 })).toHaveLength(2);
    expect(() => splitRows(q8, { ...fits, maxBufferSize: 47 })).toThrow(/48 bytes/);
    for (const { rows } of splitRows(layout, small))
      expect(weightBytes(layout, rows)).toBeLessThanOrEqual(small.maxStorageBufferBindingSize);
    expect(() => splitRows(layout, { ...limits, maxBufferSize: 100 })).toThrow(/at most 100 bytes/);
  });

  const matrix: WeightMatrix = {
    dtype: "q8",
    rows: 5,
    columns: 40,
    parts: [
      { buffer: buffer(224), firstRow: 0, rows: 3 },
      { buffer: buffer(144), firstRow: 3, rows: 2 },
    ],
  };
  const [first, second] = matrix.parts as [WeightMatrix["parts"][0], WeightMatrix["parts"][0]];

  test("parts that are the whole matrix pass", () => {
    expect(() => checkWeightMatrix("weight", matrix, limits)).not.toThrow();
  });

  test.each<[string, object, string, RegExp]>([
    ["another type", { dtype: "q5" }, "dtype", /q5/],
    ["no rows", { rows: 0 }, "shape", /weight\.rows/],
    ["a missing part", { parts: [first] }, "shape", /5 rows together.*3/],
    ["no parts", { parts: [] }, "shape", /weight/],
    ["a part that is none", { parts: [null, second] }, "shape", /parts\[0\].*a part/],
    ["a gap", { parts: [first, { ...second, firstRow: 4 }] }, "shape", /parts\[1\].*from 3/],
    ["a short buffer", { parts: [{ ...first, buffer: buffer(208) }, second] }, "shape", /224 bytes.*208/],
    ["another usage", { parts: [{ ...first, buffer: buffer(224, 8) }, second] }, "unsupported", /STORAGE/],
    ["a large buffer", { parts: [{ ...first, buffer: buffer(2 ** 28) }, second] }, "limit", /splitRows/],
  ])("%s is refused", (_, change, code, message) => {
    const check = () => checkWeightMatrix("weight", { ...matrix, ...change } as WeightMatrix, limits);
    expect(check).toThrow(message);
    expect(check).toThrow(expect.objectContaining({ code }));
  });
});
