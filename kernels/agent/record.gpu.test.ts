import { beforeAll, describe, expect, test, vi } from "vitest";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { AttentionContext, type TensorView } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext, testDevice } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { pooled } from "./case-inputs.js";
import { AGENT_CASES, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { checkCase } from "./check-case.js";
import { agentAttention, planAgentAttention, poolAgents } from "./index.js";
import { agentAttentionReference, cutWindows } from "./reference.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const random = randomSource(5);
const noise = (shape: Shape4) => ({ data: normalArray(elementCount(shape), random), shape });
const nanTensor = (shape: Shape4) =>
  ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape);

describe("a plan", () => {
  test("records twice with bitwise equal results, without allocating or submitting", async () => {
    const x = ctx.fromArray(noise([2, 36, 2, 8]).data, [2, 36, 2, 8]);
    const weight = ctx.fromArray(noise([1, 9, 2, 8]).data, [1, 9, 2, 8]);
    const grid = [6, 6] as const;
    const agents = { grid, pool: 3 };
    const plan = await planAgentAttention(ctx, { q: x, k: x, v: x, agents, depthwise: { weight, grid } });
    const outs = [nanTensor(x.shape), nanTensor(x.shape)] as const;
    const record = (out: TensorView) => {
      const encoder = ctx.device.createCommandEncoder();
      plan.record(encoder, { q: x, k: x, v: x, depthwiseWeight: weight, out });
      return encoder;
    };
    ctx.device.queue.submit([record(outs[0]).finish(), record(outs[1]).finish()]);
    const [first, second] = [await ctx.read(outs[0]), await ctx.read(outs[1])];
    expect(first.every(Number.isFinite)).toBe(true);
    expect(new Uint32Array(second.buffer)).toEqual(new Uint32Array(first.buffer));

    const spies = [
      vi.spyOn(ctx.device, "createBuffer"),
      vi.spyOn(ctx.device, "createBindGroup"),
      vi.spyOn(ctx.device, "createComputePipelineAsync"),
      vi.spyOn(ctx.device.queue, "submit"),
    ];
    record(outs[0]);
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
    expect(() => plan.record(ctx.device.createCommandEncoder(), { q: x, k: x, v: x, out: outs[0] })).toThrow(
      /depthwiseWeight/,
    );
    plan.destroy();
  });

  test("is cut into dispatches that together give the same", async () => {
    const device = await testDevice();
    const hurried = await AttentionContext.create(device, { maxDispatchMs: 0.05 });
    hurried.fillScratch(Number.NaN);
    const names = ["many keys", "everything", "stripes"];
    for (const problem of AGENT_CASES.filter(({ name }) => names.includes(name)))
      expect((await checkCase(hurried, problem)).error).toBeLessThanOrEqual(TOLERANCE_F32);
    const x = { dtype: "f32", shape: [1, 3000, 2, 8] } as const;
    const plan = await planAgentAttention(hurried, { q: x, k: x, v: x, agents: { grid: [60, 50], pool: 3 } });
    expect(plan.segments.length).toBeGreaterThan(4);
    expect(plan.segments.flatMap(({ passes }) => passes)).toEqual(plan.passes);
    hurried.destroy();
    device.destroy();
  });
});

describe("agentAttention", () => {
  const shapes = { q: [1, 9, 2, 8], agents: [1, 3, 2, 8], k: [1, 7, 2, 8], v: [1, 7, 2, 4] } as const;
  const data = () => ({
    q: noise(shapes.q),
    agents: noise(shapes.agents),
    k: noise(shapes.k),
    v: noise(shapes.v),
  });

  test("allocates its output, and takes views of one fused buffer", async () => {
    const fused = noise([2, 9, 3, 16]);
    const { buffer } = ctx.fromArray(fused.data, fused.shape);
    const part = (index: number): TensorView => ({
      ...{ buffer, dtype: "f32", shape: [2, 9, 2, 8] },
      ...{ strides: [9 * 48, 48, 8, 1], offset: 16 * index },
    });
    const dense = (index: number) => ({
      data: Array.from(
        { length: 2 * 9 * 16 },
        (_, n) => fused.data[Math.floor(n / 16) * 48 + 16 * index + (n % 16)]!,
      ),
      shape: [2, 9, 2, 8] as const,
    });
    const pool = { grid: [3, 3], pool: 2 } as const;
    const { out } = await agentAttention(ctx, part(0), pool, part(1), part(2));
    const expected = agentAttentionReference({
      ...{ q: dense(0), k: dense(1), v: dense(2) },
      agents: pooled(dense(0), pool),
    });
    expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    out.buffer.destroy();
    buffer.destroy();
  });

  test("reads PyTorch's weights of the convolution in place", async () => {
    const [heads, dim] = [2, 6];
    const x = noise([1, 12, heads, dim]);
    const torch = noise([heads * dim, 1, 3, 3]);
    const view = ctx.fromArray(x.data, x.shape);
    const weight: TensorView = {
      ...ctx.fromArray(torch.data, torch.shape),
      ...{ shape: [1, 9, heads, dim], strides: [0, 1, 9 * dim, 9] },
    };
    const grid = [3, 4] as const;
    const { out } = await agentAttention(ctx, view, view, view, view, { depthwise: { weight, grid } });
    const tapsFirst = torch.data.map(
      (_, n) => torch.data[(n % (heads * dim)) * 9 + Math.floor(n / (heads * dim))]!,
    );
    const expected = agentAttentionReference({
      ...{ q: x, agents: x, k: x, v: x },
      depthwise: { weight: tapsFirst, grid },
    });
    expect(difference(await ctx.read(out), expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    for (const { buffer } of [view, weight, out]) buffer.destroy();
  });

  test("frees what it allocated where the call fails, and submits nothing", async () => {
    const { q, agents, k, v } = data();
    const views = [q, agents, k, v].map(({ data, shape }) => ctx.fromArray(data, shape)) as [
      TensorView,
      TensorView,
      TensorView,
      TensorView,
    ];
    const submit = vi.spyOn(ctx.device.queue, "submit");
    const shared = { out: { ...views[0], shape: [1, 9, 2, 4], strides: [144, 16, 8, 1] } as TensorView };
    await expect(agentAttention(ctx, ...views, shared)).rejects.toMatchObject({ code: "unsupported" });
    const overlapping = { ...ctx.empty([1, 9, 2, 4]), strides: [72, 4, 4, 1] as const };
    await expect(agentAttention(ctx, ...views, { out: overlapping })).rejects.toMatchObject({
      code: "shape",
    });
    const short = { ...views[2], offset: 1 };
    await expect(agentAttention(ctx, views[0], views[1], short, views[3])).rejects.toMatchObject({
      code: "shape",
    });
    expect(submit).not.toHaveBeenCalled();
    submit.mockRestore();
    views[3].buffer.destroy();
    await expect(agentAttention(ctx, ...views)).rejects.toMatchObject({ code: "disposed" });
  });
});

describe("poolAgents", () => {
  test.each<
    [
      string,
      Shape4,
      { grid: readonly [number, number]; pool: number | readonly [number, number]; classToken?: boolean },
    ]
  >([
    ["overlapping bins", [2, 49, 2, 8], { grid: [7, 7], pool: 3 }],
    ["a class token and odd channels", [1, 21, 3, 5], { grid: [4, 5], pool: [2, 3], classToken: true }],
    ["wide heads", [1, 12, 1, 80], { grid: [3, 4], pool: [1, 4] }],
    ["one place", [1, 1, 1, 1], { grid: [1, 1], pool: 2 }],
  ])("%s", async (_name, shape, options) => {
    const q = noise(shape);
    const view = ctx.fromArray(q.data, shape);
    const agents = await poolAgents(ctx, view, options);
    const expected = pooled(q, options);
    expect(agents).toMatchObject({ dtype: "f32", shape: expected.shape });
    expect(difference(await ctx.read(agents), expected.data).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);

    const strided = { ...nanTensor([...expected.shape.slice(0, 3), 2 * shape[3]] as unknown as Shape4) };
    const [, n, h, d] = expected.shape;
    const out = { ...strided, shape: expected.shape, strides: [n * h * 2 * d, h * 2 * d, 2 * d, 2] as const };
    await poolAgents(ctx, view, { ...options, out });
    expect(await ctx.read(out)).toEqual(await ctx.read(agents));
    for (const { buffer } of [view, agents, strided]) buffer.destroy();
  });

  test("windows of halves", async () => {
    const q = noise([2, 24, 2, 4]);
    const windows = { image: [4, 6], size: [4, 2] } as const;
    const view = ctx.fromArray(q.data, q.shape, "f16");
    const agents = await poolAgents(ctx, view, { grid: [4, 2], pool: 2, windows });
    const expected = pooled(cutWindows(q, windows.image, windows.size), { grid: [4, 2], pool: 2 });
    expect(agents.shape).toEqual([6, 4, 2, 4]);
    expect(difference(await ctx.read(agents), expected.data).maxRelative).toBeLessThanOrEqual(TOLERANCE_F16);
    for (const { buffer } of [view, agents]) buffer.destroy();
  });
});
