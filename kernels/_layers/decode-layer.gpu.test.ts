import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type AttentionContext, q8Layout, type TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { planSoftmaxAttention } from "../softmax/index.js";
import { softmaxAttentionReference } from "../softmax/reference.js";
import { planMatmul, planQkv, type WeightDType } from "./index.js";
import { matmulReference } from "./matmul-reference.js";
import { contextAsOnGpu, expectForGpu, TestTensors } from "./test-tensors.js";

// One layer of a llama in a decode step: what a model may record for it, and what comes out.

const [BATCHES, CAPACITY, HEADS, KV_HEADS, DIM, HIDDEN] = [2, 16, 4, 2, 16, 96];
const WIDTH = HEADS * DIM;
const OUTPUTS = (HEADS + 2 * KV_HEADS) * DIM;
const EPSILON = 1e-5;
const STEPS = 3;

describe.each([
  ["this adapter", testContext, "f32", "f32", 1e-5],
  ["this adapter", testContext, "q4", "q8", 1e-2],
  ["a GPU", contextAsOnGpu, "q8", "f16", 1e-3],
] as const)("a decode step planned for %s", (_, createContext, dtype: WeightDType, cache, tolerance) => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await createContext();
    ctx.fillScratch(Number.NaN);
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  /** Full of NaN, as scales too. */
  const emptyCache = (): TensorView => {
    const shape = [BATCHES, CAPACITY, KV_HEADS, DIM] as const;
    const layout = cache === "q8" ? q8Layout(shape) : { dtype: cache, shape };
    const rowBytes = { f32: 4 * DIM, f16: 2 * DIM, q8: 4 + DIM }[cache];
    const bytes = new Uint8Array(BATCHES * CAPACITY * KV_HEADS * rowBytes).fill(0xff);
    return { ...layout, buffer: tensors.uploadBytes(bytes) };
  };

  test(`${dtype}, cache ${cache}: six dispatches, the same every step`, async () => {
    const matrices = {
      qkv: tensors.weights(dtype, OUTPUTS, WIDTH),
      out: tensors.weights(dtype, WIDTH, WIDTH),
      gateUp: tensors.weights(dtype, 2 * HIDDEN, WIDTH),
      down: tensors.weights(dtype, WIDTH, HIDDEN),
    };
    const norms = [tensors.normal(WIDTH), tensors.normal(WIDTH)] as const;
    const [attentionNorm, mlpNorm] = norms.map((weight) => ({
      kind: "rms" as const,
      weight: tensors.upload(weight, [1, 1, 1, WIDTH]),
      epsilon: EPSILON,
    }));
    const rows = (dim: number) => tensors.empty([BATCHES, 1, 1, dim]);
    const stream = tensors.empty([BATCHES, 1, 1, WIDTH]);
    const [q, attended] = [tensors.empty([BATCHES, 1, HEADS, DIM]), tensors.empty([BATCHES, 1, HEADS, DIM])];
    const [k, v] = [emptyCache(), emptyCache()];
    const [mixed, hidden, result] = [rows(WIDTH), rows(HIDDEN), rows(WIDTH)];
    const lengths = tensors.uploadBytes(new Uint8Array(4 * BATCHES));
    const merged = { ...attended, shape: [BATCHES, 1, 1, WIDTH] as const };

    const qkv = await planQkv(ctx, {
      x: stream,
      weight: matrices.qkv.matrix,
      norm: attentionNorm!,
      q,
      k,
      v,
      lengths,
    });
    const attention = await planSoftmaxAttention(ctx, {
      ...{ q, k, v },
      ...{ causal: true, queryOffset: "end", keyLengths: lengths, rope: {} },
    });
    const project = await planMatmul(ctx, { x: merged, weight: matrices.out.matrix, residual: stream });
    const gateUp = await planMatmul(ctx, {
      ...{ x: mixed, weight: matrices.gateUp.matrix, norm: mlpNorm! },
      ...{ gated: true, activation: "silu" },
    });
    const down = await planMatmul(ctx, { x: hidden, weight: matrices.down.matrix, residual: mixed });
    const plans = [qkv, attention, project, gateUp, down];
    if (createContext === contextAsOnGpu)
      for (const { passes } of [qkv, project, gateUp, down]) expectForGpu(passes);
    expect(plans.flatMap(({ passes }) => passes.map(({ name }) => name))).toHaveLength(6);

    const recorded = (encoder: GPUCommandEncoder) => {
      qkv.record(encoder, { x: stream, q, k, v });
      attention.record(encoder, { q, k, v, out: attended });
      project.record(encoder, { x: merged, residual: stream, out: mixed });
      gateUp.record(encoder, { x: mixed, out: hidden });
      down.record(encoder, { x: hidden, residual: mixed, out: result });
    };
    const bound = [
      qkv.bind({ x: stream, q, k, v }),
      attention.bind({ q, k, v, out: attended }),
      project.bind({ x: merged, residual: stream, out: mixed }),
      gateUp.bind({ x: mixed, out: hidden }),
      down.bind({ x: hidden, residual: mixed, out: result }),
    ];
    const inOnePass = (encoder: GPUCommandEncoder) => {
      for (const { prepare } of bound) prepare(encoder);
      const compute = encoder.beginComputePass();
      for (const plan of bound) plan.dispatch(compute);
      compute.end();
    };

    const past: number[][][] = [[], []];
    for (let step = 0; step < STEPS; step++) {
      const x = tensors.normal(BATCHES * WIDTH);
      ctx.device.queue.writeBuffer(stream.buffer, 0, x);
      ctx.device.queue.writeBuffer(lengths, 0, Uint32Array.of(step + 1, step + 1));
      const encoder = ctx.device.createCommandEncoder();
      const made = [vi.spyOn(ctx.device, "createBuffer"), vi.spyOn(ctx.device, "createBindGroup")];
      if (step === 0) recorded(encoder);
      else inOnePass(encoder);
      if (step > 0) for (const spy of made) expect(spy).not.toHaveBeenCalled();
      for (const spy of made) spy.mockRestore();
      ctx.device.queue.submit([encoder.finish()]);
      const expected = referenceStep(x, past, matrices, norms);
      expect(difference(await ctx.read(result), expected).maxRelative).toBeLessThanOrEqual(tolerance);
    }
    // Scratch that grows is bound anew.
    const before = await ctx.read(result);
    for (const slot of [0, 1, 2, 3, 4]) ctx.scratch.acquire(slot, 2 * ctx.scratch.acquire(slot, 1).size);
    const encoder = ctx.device.createCommandEncoder();
    inOnePass(encoder);
    ctx.device.queue.submit([encoder.finish()]);
    ctx.scratch.trim();
    expect(await ctx.read(result)).toEqual(before);
    for (const plan of plans) plan.destroy();
    expect(() => inOnePass(ctx.device.createCommandEncoder())).toThrowError(
      expect.objectContaining({ code: "disposed" }),
    );
  });
});

type Matrices = Record<"qkv" | "out" | "gateUp" | "down", { readonly values: Float64Array }>;

/** The layer in float64. `past` has the rows k | v of each batch entry, and gets this step's. */
function referenceStep(
  x: Float32Array,
  past: number[][][],
  { qkv, out, gateUp, down }: Matrices,
  [attentionNorm, mlpNorm]: readonly [Float32Array, Float32Array],
): Float64Array {
  const kvWidth = KV_HEADS * DIM;
  const rms = (weight: Float32Array) => ({ norm: { kind: "rms" as const, weight, epsilon: EPSILON } });
  const matrix = (data: ArrayLike<number>, columns: number) => ({
    data,
    rows: data.length / columns,
    columns,
  });
  const projected = matmulReference(matrix(x, WIDTH), matrix(qkv.values, WIDTH), rms(attentionNorm));
  const attended = past.flatMap((rows, b) => {
    const own = [...projected.subarray(b * OUTPUTS, (b + 1) * OUTPUTS)];
    rows.push(own.slice(WIDTH));
    const tensor = (data: number[], heads: number) => ({
      data: Float64Array.from(data),
      shape: [1, data.length / (heads * DIM), heads, DIM] as const,
    });
    const { out: result } = softmaxAttentionReference({
      q: tensor(own.slice(0, WIDTH), HEADS),
      k: tensor(
        rows.flatMap((row) => row.slice(0, kvWidth)),
        KV_HEADS,
      ),
      v: tensor(
        rows.flatMap((row) => row.slice(kvWidth)),
        KV_HEADS,
      ),
      ...{ causal: true, rope: {} },
    });
    return [...result];
  });
  const mixed = matmulReference(matrix(attended, WIDTH), matrix(out.values, WIDTH), { residual: x });
  const hidden = matmulReference(matrix(mixed, WIDTH), matrix(gateUp.values, WIDTH), {
    ...rms(mlpNorm),
    gated: true,
    activation: "silu",
  });
  return matmulReference(matrix(hidden, HIDDEN), matrix(down.values, HIDDEN), { residual: mixed });
}
