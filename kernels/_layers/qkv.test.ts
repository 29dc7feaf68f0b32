import { describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { q8Layout } from "../../src/dispatch/q8-layout.js";
import type { Shape4, TensorLayout, TensorView } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { planQkv, type QkvProblem } from "./index.js";
import { checkQkv } from "./qkv.js";
import { qkvPasses } from "./qkv-passes.js";
import { type WeightMatrix, weightBytes } from "./weight-matrix.js";

const capabilities = minimumCapabilities();
/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const buffer = (size: number) => ({ size, usage: 0x84 }) as GPUBuffer;
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });
const vector = (length: number): TensorView => ({ ...layout(1, 1, 1, length), buffer: buffer(4 * length) });

/** Rows of a matrix [192, 256], of 8 heads of q and 2 of k and v, 16 wide, in parts. */
function matrix(...parts: readonly number[]): WeightMatrix {
  const whole = { dtype: "q4", rows: 192, columns: 256 } as const;
  let firstRow = 0;
  return {
    ...whole,
    parts: parts.map((rows) => {
      firstRow += rows;
      return { buffer: buffer(weightBytes(whole, rows)), firstRow: firstRow - rows, rows };
    }),
  };
}

const cache: Shape4 = [2, 100, 2, 16];
const problem: QkvProblem = {
  x: layout(2, 1, 1, 256),
  weight: matrix(192),
  k: { dtype: "f16", shape: cache },
  v: { dtype: "f16", shape: cache },
  lengths: buffer(8),
};

const plan = (changes: Partial<QkvProblem> = {}, at = capabilities) =>
  qkvPasses(checkQkv({ ...problem, ...changes }, at), { unused: true }, at, 1e12);
const names = (changes: Partial<QkvProblem> = {}) => plan(changes).map(({ name }) => name);

describe("the planner of projections", () => {
  test("few rows are one pass, whose workgroups own whole words of the cache", () => {
    const [pass, ...others] = plan({ norm: { kind: "rms", weight: vector(256) }, bias: vector(192) });
    expect(others).toEqual([]);
    expect(pass!.constants).toMatchObject({ CACHE: 1, OWNED: 32, HELD_ROWS: 2, HAS_LENGTHS: true });
    expect(pass!.workgroups).toEqual([6, 1, 1]);
    expect(pass!.uniforms.heads).toMatchObject({ heads: 8, kv_heads: 2, head_dim: 16, capacity: 100 });
  });

  test("norms of heads, and scales of q8, give a workgroup a head", () => {
    const [pass] = plan({ queryNorm: vector(16), keyNorm: vector(16) });
    expect(pass!.constants).toMatchObject({ OWNED: 16, HAS_QUERY_NORM: true, HAS_KEY_NORM: true });
    expect(pass!.workgroups).toEqual([12, 1, 1]);
    const q8 = q8Layout(cache);
    expect(plan({ k: q8, v: q8 })[0]!.constants).toMatchObject({ OWNED: 16, CACHE: 2 });
  });

  test("parts that cut a head go through scratch only where heads have to be whole", () => {
    expect(names({ weight: matrix(96, 96) })).toEqual(["layers/qkv_rows", "layers/qkv_rows"]);
    expect(names({ weight: matrix(96, 96), queryNorm: vector(16) })).toHaveLength(2);
    const cut = matrix(100, 92);
    expect(names({ weight: cut })).toEqual(["layers/qkv_rows", "layers/qkv_rows"]);
    expect(names({ weight: cut, queryNorm: vector(16) })).toEqual([
      "layers/vector_matrix",
      "layers/vector_matrix",
      "layers/cache_append",
    ]);
  });

  test("more buffers than a device binds go through scratch", () => {
    const all = {
      bias: vector(192),
      modulation: { scale: layout(1, 1, 1, 256), shift: layout(1, 1, 1, 256) },
    };
    const names = (changes: Partial<QkvProblem>) =>
      qkvPasses(
        checkQkv({ ...problem, ...changes }, capabilities),
        { buffer: buffer(768) },
        capabilities,
        1e12,
      ).map(({ name }) => name);
    expect(names(all)).toEqual(["layers/vector_matrix", "layers/cache_append"]);
    expect(names({ modulation: all.modulation })).toEqual(["layers/qkv_rows"]);
  });

  test("many rows are products, then the cache", () => {
    const x = layout(2, 20, 1, 256);
    expect(names({ x, norm: { kind: "rms" } })).toEqual([
      "layers/row_statistics",
      "layers/matrix_tiles",
      "layers/cache_append",
    ]);
    const passes = plan({ x });
    expect(passes[0]!.bindings.out).toEqual({ scratch: 1, bytes: 4 * 40 * 192 });
    expect(passes[1]!.workgroups).toEqual([40 * 12, 1, 1]);
  });

  test("a cache of f16 and of q8 costs less to write", () => {
    const bytes = (k: TensorLayout) => plan({ k, v: k })[0]!.cost.bytes;
    const [f32, f16, q8] = [layout(...cache), problem.k, q8Layout(cache)].map(bytes);
    // Two rows of two heads of k and of v, 16 wide.
    expect(f32! - f16!).toBe(2 * 2 * 2 * 16 * 2);
    expect(f32! - q8!).toBe(2 * 2 * 2 * (16 * 3 - 4));
  });

  test("workgroup memory holds the widest heads of eight rows", () => {
    const wide: Shape4 = [8, 10, 1, 256];
    const columns = { dtype: "f32", rows: 3 * 256, columns: 64 } as const;
    const [pass] = plan({
      ...{ x: layout(8, 1, 1, 64), k: q8Layout(wide), v: q8Layout(wide), lengths: buffer(32) },
      weight: { ...columns, parts: [{ buffer: buffer(weightBytes(columns)), firstRow: 0, rows: 768 }] },
    });
    const { THREADS, OUTPUTS, TOKENS, OWNED } = pass!.constants as Record<string, number>;
    const floats = THREADS! * OUTPUTS! * TOKENS! + OWNED! * TOKENS! + THREADS! + THREADS! / 8;
    expect(4 * floats).toBeLessThanOrEqual(capabilities.limits.maxComputeWorkgroupStorageSize);
  });
});

describe("wrong projections are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    [
      "rows that are no heads",
      { k: layout(2, 100, 5, 16), v: layout(2, 100, 5, 16) },
      "shape",
      /weight\.rows/,
    ],
    ["values of another type", { v: layout(2, 100, 2, 16) }, "dtype", /v\.dtype/],
    ["values of another shape", { v: { dtype: "f16", shape: [2, 99, 2, 16] } }, "shape", /v\.shape\[1\]/],
    ["a cache of another batch size", { k: layout(3, 9, 2, 16), v: layout(3, 9, 2, 16) }, "shape", /batch/],
    [
      "q8 without room for scales",
      { k: { ...problem.k, dtype: "q8" }, v: { ...problem.k, dtype: "q8" } },
      "unsupported",
      /q8Layout/,
    ],
    ["halves at odd places", { k: { ...problem.k, offset: 1 } }, "unsupported", /k \(f16\)/],
    ["another q", { q: layout(2, 1, 4, 16) }, "shape", /q\.shape/],
    ["weights left out", { weight: undefined }, "shape", /weight: expected a weight matrix/],
    ["a negative epsilon", { headEpsilon: -1e-6 }, "shape", /headEpsilon/],
    ["a short norm", { queryNorm: vector(8) }, "shape", /queryNorm/],
    ["lengths of one entry", { lengths: buffer(4) }, "shape", /lengths/],
    [
      "more rows than places, without lengths",
      { x: layout(2, 101, 1, 256), lengths: undefined },
      "shape",
      /tokens/,
    ],
    ["an option that there is not", { scales: layout(2, 100, 2, 2) }, "unsupported", /scales/],
  ])("%s", async (_, changes, code, message) => {
    const planned = () => planQkv(ctx, { ...problem, ...changes } as QkvProblem);
    await expect(planned()).rejects.toThrow(message);
    await expect(planned()).rejects.toMatchObject({ name: "AttentionError", code });
  });
});
