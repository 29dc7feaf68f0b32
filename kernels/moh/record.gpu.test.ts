import { beforeAll, describe, expect, test, vi } from "vitest";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { PassCost } from "../../src/dispatch/pass.js";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext, TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type Dense, makeCaseInputs, referenceInputs } from "./case-inputs.js";
import { MIXTURE_CASES, TOLERANCE_F32 } from "./cases.js";
import { type CaseTensors, uploadCase } from "./check-case.js";
import { type MixtureOfHeadPlan, mixtureOfHeadAttention, planMixtureOfHeadAttention } from "./index.js";
import { mixtureOfHeadReference } from "./reference.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const find = (name: string) => MIXTURE_CASES.find((problem) => problem.name === name)!;
const nanTensor = (shape: Shape4) =>
  ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape);

function submit(record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = ctx.device.createCommandEncoder();
  record(encoder);
  ctx.device.queue.submit([encoder.finish()]);
}

async function planned(name: string): Promise<{ plan: MixtureOfHeadPlan; tensors: CaseTensors }> {
  const problem = find(name);
  const tensors = uploadCase(ctx, problem, makeCaseInputs(problem));
  const { sharedHeads, topK, router, options } = problem;
  return {
    plan: await planMixtureOfHeadAttention(ctx, { ...options, ...tensors, sharedHeads, topK, router }),
    tensors,
  };
}

describe("a plan", () => {
  test.each(["two shared, two of six", "no shared heads, all of eight", "one token", "norm router"])(
    "records twice with bitwise equal results, without allocating or submitting: %s",
    async (name) => {
      const { plan, tensors } = await planned(name);
      const outs = [tensors.out, nanTensor(tensors.out.shape)];
      for (const out of outs) submit((encoder) => plan.record(encoder, { ...tensors, out }));
      const [first, second] = [await ctx.read(outs[0]!), await ctx.read(outs[1]!)];
      expect(first.every(Number.isFinite)).toBe(true);
      expect(new Uint32Array(second.buffer)).toEqual(new Uint32Array(first.buffer));

      const encoder = ctx.device.createCommandEncoder();
      const spies = [
        vi.spyOn(ctx.device, "createBuffer"),
        vi.spyOn(ctx.device, "createBindGroup"),
        vi.spyOn(ctx.device, "createComputePipelineAsync"),
        vi.spyOn(ctx.device.queue, "submit"),
        vi.spyOn(ctx.device.queue, "writeBuffer"),
      ];
      plan.record(encoder, tensors);
      for (const spy of spies) {
        expect(spy).not.toHaveBeenCalled();
        spy.mockRestore();
      }
      plan.destroy();
    },
  );

  test("submitted segment by segment, or bound, gives what the whole gives", async () => {
    const { plan, tensors } = await planned("two shared, two of six");
    const out = nanTensor(tensors.out.shape);
    const other = nanTensor(tensors.out.shape);
    const bound = plan.bind({ ...tensors, out: other });
    submit((encoder) => plan.record(encoder, tensors));
    for (const segment of plan.segments) submit((encoder) => segment.record(encoder, { ...tensors, out }));
    expect(await ctx.read(out)).toEqual(await ctx.read(tensors.out));
    submit((encoder) => {
      bound.prepare(encoder);
      const compute = encoder.beginComputePass();
      bound.dispatch(compute);
      compute.end();
    });
    expect(await ctx.read(other)).toEqual(await ctx.read(tensors.out));
    expect(plan.segments.flatMap(({ passes }) => passes)).toEqual(plan.passes);
    plan.destroy();
  });

  test("routes anew at every record", async () => {
    const problem = find("two shared, two of six");
    const { plan, tensors } = await planned(problem.name);
    for (const seed of [5, 6]) {
      const inputs = makeCaseInputs(problem, seed);
      const own = uploadCase(ctx, problem, inputs);
      submit((encoder) => plan.record(encoder, own));
      const expected = mixtureOfHeadReference(referenceInputs(problem, inputs));
      const found = await ctx.read(own.gates);
      expect(Array.from(found, (gate) => gate !== 0)).toEqual(
        Array.from(expected.gates, (gate) => gate !== 0),
      );
      expect(difference(await ctx.read(own.out), expected.out).maxRelative).toBeLessThanOrEqual(
        TOLERANCE_F32,
      );
    }
    plan.destroy();
    expect(() => plan.record(ctx.device.createCommandEncoder(), tensors)).toThrowError(
      expect.objectContaining({ code: "disposed" }),
    );
  });

  test("holds memory that the context counts, until it is destroyed", async () => {
    const before = ctx.memory().scratchBytes;
    const { plan } = await planned("two shared, two of six");
    const held = ctx.memory().scratchBytes - before;
    // Lists and attended heads; the gates are the caller's.
    expect(held).toBe(4 * 8 * (1 + 70) + 4 * 70 * 8 * 16);
    plan.destroy();
    expect(ctx.memory().scratchBytes).toBe(before);
  });

  test("costs what its active heads do", async () => {
    const flops = async (sharedHeads: number, topK: number) => {
      const problem = { ...find("two shared, two of six"), sharedHeads, topK };
      const { weights, loss: _loss, ...tensors } = uploadCase(ctx, problem, makeCaseInputs(problem));
      const plan = await planMixtureOfHeadAttention(ctx, { ...tensors, weights, sharedHeads, topK });
      const router = plan.passes.filter(({ name }) => /^moh\/(logits|gates|lists|order$)/.test(name));
      const sum = (costs: readonly { cost: PassCost }[]) => sumCosts(costs.map(({ cost }) => cost)).flops;
      expect(sum(plan.passes)).toBeCloseTo(plan.cost.flops, 3);
      expect(sum(plan.segments)).toBeCloseTo(plan.cost.flops, 3);
      expect(plan.passes.every(({ work, cost }) => work! >= cost.flops)).toBe(true);
      plan.destroy();
      return plan.cost.flops - sum(router);
    };
    expect((await flops(2, 2)) / (await flops(0, 8))).toBeCloseTo(0.5, 9);
  });

  test("frees what it holds where a buffer would be too large", async () => {
    const before = ctx.memory().scratchBytes;
    const hold = ctx.scratch.hold.bind(ctx.scratch);
    const spy = vi.spyOn(ctx.scratch, "hold").mockImplementationOnce(hold);
    spy.mockImplementationOnce(() => {
      throw new Error("too large");
    });
    await expect(planned("two shared, two of six")).rejects.toThrow("too large");
    spy.mockRestore();
    expect(ctx.memory().scratchBytes).toBe(before);
  });

  test("checks tensors before it records anything", async () => {
    const { plan, tensors } = await planned("two shared, two of six");
    const encoder = ctx.device.createCommandEncoder();
    const begin = vi.spyOn(encoder, "beginComputePass");
    const { weights } = tensors;
    const wrong: [Partial<CaseTensors>, RegExp][] = [
      [{ out: tensors.x }, /out\.buffer.*buffer of x/],
      [{ weights: { ...weights, out: weights.outBias! } }, /weights\.out/],
      [{ gates: nanTensor([1, 70, 4, 1]) }, /gates/],
    ];
    for (const [changes, message] of wrong) {
      expect(() => plan.record(encoder, { ...tensors, ...changes })).toThrowError(message);
    }
    expect(begin).not.toHaveBeenCalled();
    plan.destroy();
  });
});

describe("a call", () => {
  /** A fused projection [C, (H + 2 Hkv) · D] of x as views of one buffer, and what they make of x. */
  test.each([
    { name: "grouped heads", tokens: 20, heads: 4, kvHeads: 2, dim: 8, options: { causal: true } },
    // The trained language models', and the trained image model's.
    { name: "rotated", tokens: 20, heads: 4, kvHeads: 2, dim: 24, options: { causal: true, rope: {} } },
    { name: "whole images", tokens: 50, heads: 8, kvHeads: 8, dim: 16, options: {} },
    { name: "norms", tokens: 20, heads: 4, kvHeads: 2, dim: 8, router: "norm" as const, options: {} },
  ])("makes q, k and v of x by views of one matrix: $name", async (problem) => {
    const { tokens, heads, kvHeads, dim, router = "learned", options } = problem;
    const [batches, width] = [2, 24];
    const random = randomSource(3);
    const noise = (shape: Shape4, factor = 1): Dense => {
      return { data: normalArray(elementCount(shape), random).map((value) => factor * value), shape };
    };
    const learned = router === "learned";
    const all = (heads + 2 * kvHeads) * dim;
    const x = noise([batches, tokens, 1, width]);
    const fused = noise([1, 1, all, width], width ** -0.5);
    const fusedBias = noise([1, 1, 1, all]);
    const matrices = {
      routed: noise([1, 1, width, heads - 1], width ** -0.5),
      balance: noise([1, 1, width, 2], width ** -0.5),
    };
    const weight = noise([1, 1, heads * dim, width], (heads * dim) ** -0.5);
    const [fusedBuffer, biasBuffer] = [fused, fusedBias].map(
      ({ data, shape }) => ctx.fromArray(data, shape).buffer,
    );
    const part = (from: number, columns: number): TensorView => ({
      ...{ buffer: fusedBuffer!, dtype: "f32", shape: [1, 1, width, columns] },
      ...{ strides: [0, 0, 1, width], offset: from * width },
    });
    const biasPart = (from: number, columns: number): TensorView => ({
      ...{ buffer: biasBuffer!, dtype: "f32", shape: [1, 1, 1, columns], offset: from },
    });
    const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape);
    const [queries, keys] = [heads * dim, kvHeads * dim];
    const { out, gates, loss } = await mixtureOfHeadAttention(
      ctx,
      upload(x),
      {
        ...{ query: part(0, queries), queryBias: biasPart(0, queries) },
        ...{ key: part(queries, keys), keyBias: biasPart(queries, keys) },
        ...{ value: part(queries + keys, keys), valueBias: biasPart(queries + keys, keys) },
        ...(learned && { routed: upload(matrices.routed), balance: upload(matrices.balance) }),
        out: upload(weight),
      },
      { ...options, heads, kvHeads, router, sharedHeads: 1, topK: 1, gates: true, loss: learned },
    );
    const projected = (from: number, count: number) => ({
      shape: [batches, tokens, count, dim] as const,
      data: Float64Array.from({ length: batches * tokens * count * dim }, (_, i) => {
        const [row, column] = [Math.floor(i / (count * dim)), from + (i % (count * dim))];
        let sum = fusedBias.data[column]!;
        for (let c = 0; c < width; c++) sum += x.data[row * width + c]! * fused.data[column * width + c]!;
        return sum;
      }),
    });
    const expected = mixtureOfHeadReference({
      ...{ x, weights: matrices, weight, router, sharedHeads: 1, topK: 1, attention: options },
      ...{ q: projected(0, heads), k: projected(queries, kvHeads), v: projected(queries + keys, kvHeads) },
    });
    expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    expect(difference(await ctx.read(gates!), expected.gates).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    expect(loss !== undefined).toBe(learned);
    if (loss)
      expect(difference(await ctx.read(loss), [expected.loss]).maxRelative).toBeLessThanOrEqual(
        TOLERANCE_F32,
      );
  });

  test("says which option of the attention inside is wrong, and frees what it holds", async () => {
    const problem = find("two shared, two of six");
    const { x, weights, q, k, v } = uploadCase(ctx, problem, makeCaseInputs(problem));
    const before = ctx.memory().scratchBytes;
    const options = { sharedHeads: 2, topK: 2, q, k, v, keyLengths: [1, 2, 3] };
    await expect(mixtureOfHeadAttention(ctx, x, weights, options)).rejects.toMatchObject({
      code: "shape",
      message: expect.stringMatching(/keyLengths/),
    });
    expect(ctx.memory().scratchBytes).toBe(before);
    v.buffer.destroy();
    const call = mixtureOfHeadAttention(ctx, x, weights, { sharedHeads: 2, topK: 2, q, k, v });
    await expect(call).rejects.toMatchObject({ code: "disposed" });
  });
});
