import { describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4, TensorLayout, TensorView } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { type MatmulProblem, planMatmul } from "./index.js";
import { checkMatmul } from "./matmul.js";
import { matmulPasses } from "./matmul-passes.js";
import { splitRows, type WeightDType, type WeightMatrix, weightBytes } from "./weight-matrix.js";

const capabilities = minimumCapabilities();
const software = { ...capabilities, software: true, subgroups: true };
/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const buffer = (size: number) => ({ size, usage: 0x84 }) as GPUBuffer;
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });
const vector = (length: number): TensorView => ({
  ...layout(1, 1, 1, length),
  buffer: buffer(4 * length),
});

function matrix(
  dtype: WeightDType,
  rows: number,
  columns: number,
  limits = capabilities.limits,
): WeightMatrix {
  const parts = splitRows({ dtype, rows, columns }, limits).map((part) => ({
    ...part,
    buffer: buffer(weightBytes({ dtype, rows, columns }, part.rows)),
  }));
  return { dtype, rows, columns, parts };
}

const plan = (problem: MatmulProblem, at = capabilities, budget = 1e12) =>
  matmulPasses(checkMatmul(problem, at), { unused: true }, at, budget);

const x = layout(1, 1, 1, 4096);
const weight = matrix("q4", 4096, 4096);

describe("the planner of products", () => {
  test("few rows are one pass, norm and residual included", () => {
    const norm = { kind: "rms", weight: vector(4096) } as const;
    const [pass, ...others] = plan({ x, weight, norm, residual: x });
    expect(others).toEqual([]);
    expect(pass!.name).toBe("layers/vector_matrix");
    expect(pass!.variant).toBe("vec4");
    expect(pass!.workgroups).toEqual([256, 1, 1]);
    expect(pass!.constants).toMatchObject({
      WEIGHT: 3,
      LANES: 16,
      OUTPUTS: 4,
      TOKENS: 1,
      HAS_RESIDUAL: true,
    });
    expect(pass!.cost.flops).toBe(2 * 4096 * 4096);
  });

  test("many rows take tiles, and a pass before them for their norm", () => {
    const many = layout(2, 50, 1, 4096);
    expect(plan({ x: many, weight }).map(({ name }) => name)).toEqual(["layers/matrix_tiles"]);
    const passes = plan({ x: many, weight, norm: { kind: "layer" } });
    expect(passes.map(({ name }) => name)).toEqual(["layers/row_statistics", "layers/matrix_tiles"]);
    expect(passes[1]!.workgroups).toEqual([64 * 2, 1, 1]);
  });

  test("software adapters take no lanes, and registers instead of tiles", () => {
    expect(plan({ x, weight }, software)[0]!.constants).toMatchObject({ THREADS: 8, LANES: 1 });
    expect(plan({ x: layout(1, 9, 1, 4096), weight }, software)[0]).toMatchObject({
      name: "layers/matrix_registers",
      variant: "subgroups+vec4",
    });
  });

  test("narrow rows have fewer lanes than chunks", () => {
    const lanes = (dtype: WeightDType, columns: number) =>
      plan({ x: layout(1, 1, 1, columns), weight: matrix(dtype, 8, columns) })[0]!.constants!.LANES;
    expect([lanes("f32", 32), lanes("q4", 32), lanes("q4", 96), lanes("q8", 128)]).toEqual([8, 1, 2, 8]);
  });

  test("a part is a pass, with its rows' place among the outputs", () => {
    const limits = { ...capabilities.limits, maxStorageBufferBindingSize: 2 ** 23 };
    const parts = matrix("f32", 1000, 4096, limits);
    const passes = plan({ x, weight: parts }, { ...capabilities, limits });
    const share = (name: string) => passes.map(({ uniforms }) => uniforms.params![name]);
    expect(share("first_output")).toEqual([0, 512]);
    expect(share("outputs")).toEqual([512, 488]);
  });

  test("stacked matrices, and halves that are cut differently", () => {
    const narrow = layout(1, 1, 1, 32);
    const [q, k] = [matrix("q4", 64, 32), matrix("q8", 32, 32)];
    const stacked = plan({ x: narrow, weight: [q, k] });
    expect(stacked.map(({ constants }) => constants!.WEIGHT)).toEqual([3, 2]);
    const limits = { ...capabilities.limits, maxStorageBufferBindingSize: 128 * 30 };
    const at = { ...capabilities, limits };
    const passes = plan({ x: narrow, weight: matrix("f32", 100, 32, limits), gated: true }, at);
    const rows = passes.map(({ uniforms: { params } }) => [
      params!.first_output,
      params!.outputs,
      params!.part_row,
      params!.up_part_row,
    ]);
    // Parts of 30 rows: gates 0..49, the others 50..99.
    expect(rows).toEqual([
      [0, 10, 0, 20],
      [10, 20, 10, 0],
      [30, 10, 0, 20],
      [40, 10, 10, 0],
    ]);
  });

  test("scale and residual have a pass of their own only where all that is read is more than a device binds", () => {
    const passes = (tokens: number, most: number, changes: object = {}) => {
      const rows = layout(1, tokens, 1, 64);
      const limits = { ...capabilities.limits, maxStorageBuffersPerShaderStage: most };
      const problem: MatmulProblem = {
        ...{ x: rows, weight: matrix("q8", 64, 64), norm: { kind: "rms" }, outScale: layout(1, 1, 1, 64) },
        ...{ bias: vector(64), modulation: { scale: rows, shift: rows }, residual: rows, ...changes },
      };
      const at = { ...capabilities, limits };
      return matmulPasses(checkMatmul(problem, at), { buffer: buffer(256) }, at, 1e12);
    };
    const names = (...args: Parameters<typeof passes>) => passes(...args).map(({ name }) => name);
    expect(names(8, 8)).toEqual(["layers/vector_matrix"]);
    expect(names(9, 8)).toEqual(["layers/row_statistics", "layers/matrix_tiles", "layers/gate"]);
    expect(names(9, 9)).toEqual(["layers/row_statistics", "layers/matrix_tiles"]);
    expect(names(9, 8, { norm: undefined })).toEqual(["layers/matrix_tiles"]);
    const [, product, gate] = passes(9, 8);
    expect(product!.constants).toMatchObject({ HAS_OUT_SCALE: false, HAS_RESIDUAL: false });
    expect(product!.bindings.out).toEqual({ scratch: 1, bytes: 4 * 9 * 64 });
    expect(gate!.bindings).toMatchObject({ x: product!.bindings.out, gate: { tensor: "outScale" } });
  });

  test("dispatches are bounded, and together are the whole", () => {
    const problem = { x: layout(1, 512, 1, 4096), weight };
    const [whole] = plan(problem);
    const cut = plan(problem, capabilities, 1e9);
    expect(cut.length).toBeGreaterThan(10);
    for (const { work } of cut) expect(work).toBeLessThanOrEqual(1e9);
    expect(cut.reduce((sum, { workgroups }) => sum + workgroups[0], 0)).toBe(whole!.workgroups[0]);
    expect(cut.reduce((sum, { cost }) => sum + cost.flops, 0)).toBeCloseTo(whole!.cost.flops, 0);
  });

  test("f16 and q4 read at most 0.55 and 0.32 of the bytes of f32", () => {
    const bytes = (dtype: WeightDType) =>
      plan({ x: layout(1, 1, 1, 576), weight: matrix(dtype, 1536, 576) }).reduce(
        (sum, { cost }) => sum + cost.bytes,
        0,
      );
    expect(bytes("f16") / bytes("f32")).toBeLessThan(0.51);
    expect(bytes("q8") / bytes("f32")).toBeLessThan(0.29);
    expect(bytes("q4") / bytes("f32")).toBeLessThan(0.17);
  });

  test("rows that cannot be read by fours", () => {
    const small = matrix("f32", 8, 6);
    expect(plan({ x: layout(1, 1, 1, 6), weight: small })[0]!.variant).toBe("base");
    expect(plan({ x: { ...layout(1, 1, 1, 4096), offset: 1 }, weight })[0]!.variant).toBe("base");
    const scale = { ...layout(1, 1, 1, 4096), offset: 2 };
    expect(plan({ x, weight, modulation: { scale } })[0]!.variant).toBe("base");
  });
});

describe("wrong products are refused before any GPU call", () => {
  const any = (problem: object) => ({ x, weight, ...problem }) as never;
  test.each<[string, object, string, RegExp]>([
    ["other channels", { x: layout(1, 1, 1, 64) }, "shape", /weight\.columns.*64/],
    ["heads", { x: layout(1, 1, 2, 2048) }, "shape", /heads/],
    ["no weights", { weight: [] }, "shape", /at least one matrix/],
    ["weights left out", { weight: undefined }, "shape", /weight: expected a weight matrix/],
    [
      "a matrix left out",
      { weight: Object.assign([], { 1: weight }) },
      "shape",
      /weight\[0\]: expected a weight matrix/,
    ],
    ["a part that is none", { weight: { ...weight, parts: [null] } }, "shape", /weight\.parts\[0\]/],
    ["a view as weights", { weight: vector(8) }, "shape", /weight matrix/],
    ["matrices of two widths", { weight: [weight, matrix("q4", 8, 32)] }, "shape", /weight\[1\]\.columns/],
    ["odd halves", { weight: matrix("q4", 7, 4096), gated: true }, "shape", /even/],
    [
      "halves of two types",
      { weight: [matrix("q4", 8, 4096), matrix("q8", 8, 4096)], gated: true },
      "dtype",
      /"q4" and "q8"/,
    ],
    ["a short bias", { bias: vector(8) }, "shape", /bias.*4096/],
    ["an unknown norm", { norm: { kind: "batch" } }, "unsupported", /rms, layer.*batch/],
    ["a negative epsilon", { norm: { kind: "rms", epsilon: -1 } }, "shape", /epsilon/],
    ["a short norm weight", { norm: { kind: "rms", weight: vector(8) } }, "shape", /norm\.weight/],
    ["a modulation without scale", { modulation: { shift: x } }, "shape", /modulation\.scale/],
    ["an activation", { activation: "swish" }, "unsupported", /silu.*swish/],
    ["more activated than there are", { activated: 5000 }, "shape", /activated.*4096/],
    ["a residual of other rows", { residual: layout(1, 3, 1, 4096) }, "shape", /residual/],
    ["another output", { out: layout(1, 1, 1, 8) }, "shape", /out\.shape/],
    ["f16 activations", { x: { ...x, dtype: "f16" } }, "dtype", /x\.dtype/],
    ["an option that there is not", { transpose: true }, "unsupported", /transpose/],
  ])("%s", async (_, change, code, message) => {
    await expect(planMatmul(ctx, any(change))).rejects.toThrow(message);
    await expect(planMatmul(ctx, any(change))).rejects.toMatchObject({ name: "AttentionError", code });
  });
});
