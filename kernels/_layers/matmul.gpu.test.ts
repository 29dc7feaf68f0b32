import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext, TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import type { Activation } from "./index.js";
import { planMatmul } from "./index.js";
import { VECTOR_ROWS } from "./matmul-passes.js";
import { type MatmulReferenceOptions, matmulReference } from "./matmul-reference.js";
import { contextAsOnGpu, expectForGpu, TestTensors } from "./test-tensors.js";
import type { WeightDType } from "./weight-matrix.js";

const TOLERANCE = 1e-5;

interface Case {
  readonly name: string;
  readonly dtype?: WeightDType;
  readonly batches?: number;
  readonly tokens?: number;
  readonly inner?: number;
  /** Rows of the weights. */
  readonly outer?: number;
  readonly partRows?: number;
  readonly sparse?: boolean;
  readonly norm?: "rms" | "layer" | "srms" | "plain layer";
  readonly modulation?: "adaLN" | "gate";
  readonly bias?: boolean;
  readonly activation?: Activation;
  readonly activated?: number;
  readonly gated?: boolean;
  readonly outScale?: boolean;
  readonly residual?: boolean;
}

/** Both kinds of kernels, each of few rows and many; what a case adds stands beside another storage, since pipelines take long. */
const CASES: Case[] = [
  ...[2, 21].flatMap((tokens): Case[] => [
    { name: "f32, layer norm", tokens, norm: "layer", bias: true, activation: "gelu-erf", inner: 52 },
    {
      name: "f16, gated",
      tokens,
      dtype: "f16",
      gated: true,
      activation: "silu",
      norm: "rms",
      residual: true,
    },
    {
      name: "q8 in parts",
      ...{ tokens, dtype: "q8", outer: 90, partRows: 40, inner: 72 },
      ...{ norm: "srms", modulation: "gate", activation: "silu", activated: 9, bias: true, residual: true },
    },
    { name: "q4, gated, in parts", tokens, dtype: "q4", gated: true, bias: true, outer: 100, partRows: 30 },
    { name: "adaLN-Zero in", tokens, batches: 2, norm: "plain layer", modulation: "adaLN", inner: 20 },
    { name: "adaLN-Zero out", tokens, batches: 2, bias: true, outScale: true, residual: true },
    {
      name: "everything at once",
      ...{ tokens, batches: 2, norm: "layer", modulation: "adaLN", bias: true, gated: true },
      ...{ activation: "sigmoid", outScale: true, residual: true },
    },
    { name: "sparse", tokens, sparse: true, norm: "layer", modulation: "adaLN", residual: true, inner: 37 },
  ]),
  ...[1, 5, 8, 70].map((tokens) => ({ name: "rows", tokens, inner: 36, outer: 70 })),
  { name: "one channel", inner: 1, tokens: 9 },
  { name: "odd channels", inner: 33, tokens: 9, dtype: "q8" },
  { name: "one output", outer: 1, tokens: 1, dtype: "q4" },
  { name: "long rows", inner: 1056, outer: 9, tokens: 1, dtype: "q4" },
];

const shapeName = ({ tokens = 2, inner = 64, outer = 40, name }: Case) =>
  `${name}: ${tokens} x ${inner} x ${outer}`;

describe.each([
  ["this adapter", testContext, false],
  ["a GPU", contextAsOnGpu, true],
] as const)("products planned for %s", (_, createContext, asOnGpu) => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await createContext();
    ctx.fillScratch(Number.NaN);
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  test.each(CASES.map((c) => [shapeName(c), c] as const))("%s", async (_, c) => {
    const { batches = 1, tokens = 2, inner = 64, outer = 40, dtype = "f32", activation = "none" } = c;
    const { gated = false } = c;
    const rows = batches * tokens;
    const outputs = gated ? outer / 2 : outer;
    const upload = (data: ArrayLike<number>, dim: number, t = tokens): TensorView =>
      c.sparse
        ? tensors.uploadSparse(data, [batches, t, 1, dim])
        : tensors.upload(data, [batches, t, 1, dim]);
    const vector = (data: Float32Array) => tensors.upload(data, [1, 1, 1, data.length]);

    const x = tensors.normal(rows * inner).map((value) => value + (c.norm === "layer" ? 10 : 0));
    const { matrix, values } = tensors.weights(dtype, outer, inner, c.partRows);
    const affine = c.norm === "rms" || c.norm === "layer";
    const normWeight = affine ? tensors.normal(inner) : undefined;
    const normBias = c.norm === "layer" ? tensors.normal(inner) : undefined;
    const kind = c.norm === "layer" || c.norm === "plain layer" ? ("layer" as const) : ("rms" as const);
    const bias = c.bias ? tensors.normal(outer) : undefined;
    const residual = c.residual ? tensors.normal(rows * outputs) : undefined;
    // One row of a batch entry's own, as a condition gives them.
    const perBatch = (dim: number) => tensors.normal(batches * dim);
    const repeated = (data: Float32Array, dim: number) =>
      Float32Array.from(
        { length: rows * dim },
        (_, n) => data[Math.floor(n / (tokens * dim)) * dim + (n % dim)]!,
      );
    const scale = c.modulation && perBatch(inner);
    const shift = c.modulation === "adaLN" ? perBatch(inner) : undefined;
    const outScale = c.outScale ? perBatch(outputs) : undefined;
    const offset = c.modulation === "gate" ? 0 : 1;

    const views = {
      x: upload(x, inner),
      ...(scale && { scale: upload(scale, inner, 1) }),
      ...(shift && { shift: upload(shift, inner, 1) }),
      ...(outScale && { outScale: upload(outScale, outputs, 1) }),
      ...(residual && { residual: upload(residual, outputs) }),
      out: upload(new Float32Array(rows * outputs).fill(Number.NaN), outputs),
    };
    const plan = await planMatmul(ctx, {
      x: views.x,
      weight: matrix,
      ...(c.norm && {
        norm: {
          kind,
          epsilon: 1e-5,
          ...(normWeight && { weight: vector(normWeight) }),
          ...(normBias && { bias: vector(normBias) }),
        },
      }),
      ...(views.scale && {
        modulation: { scale: views.scale, offset, ...(views.shift && { shift: views.shift }) },
      }),
      ...(bias && { bias: vector(bias) }),
      ...(views.outScale && { outScale: views.outScale }),
      ...(views.residual && { residual: views.residual }),
      activation,
      ...(c.activated !== undefined && { activated: c.activated }),
      gated,
      out: views.out,
    });
    if (asOnGpu) {
      expectForGpu(plan.passes);
      const kernel = rows > VECTOR_ROWS ? "layers/matrix_tiles" : "layers/vector_matrix";
      expect(plan.passes.map(({ name }) => name)).toContain(kernel);
    }
    const actual = await tensors.run(plan, views);

    const reference: MatmulReferenceOptions = {
      ...(c.norm && {
        norm: {
          kind,
          epsilon: 1e-5,
          ...(normWeight && { weight: normWeight }),
          ...(normBias && { bias: normBias }),
        },
      }),
      ...(scale && {
        modulation: {
          scale: repeated(scale, inner),
          offset,
          ...(shift && { shift: repeated(shift, inner) }),
        },
      }),
      ...(bias && { bias }),
      ...(outScale && { outScale: repeated(outScale, outputs) }),
      ...(residual && { residual }),
      activation,
      ...(c.activated !== undefined && { activated: c.activated }),
      gated,
    };
    const expected = matmulReference(
      { data: x, rows, columns: inner },
      { data: values, rows: outer, columns: inner },
      reference,
    );
    // Layer norm of rows around 10 shows how they were rounded.
    const tolerance = c.norm === "layer" ? 2 * TOLERANCE : TOLERANCE;
    expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(tolerance);
  });
});
