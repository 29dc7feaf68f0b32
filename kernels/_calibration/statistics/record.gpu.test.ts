import { beforeAll, describe, expect, test, vi } from "vitest";
import { elementCount, type Shape4, type TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { AttentionContext, type TensorView } from "../../../src/index.js";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { softmaxAttention } from "../../softmax/index.js";
import { attentionStatistics, planAttentionStatistics, type StatisticsRequest } from "./index.js";

const TOLERANCE = 1e-5;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const random = randomSource(3);
const noise = (shape: Shape4) => ctx.fromArray(normalArray(elementCount(shape), random), shape);
const nan = (layout: TensorLayout): TensorView => ({
  ...layout,
  buffer: ctx.fromArray(new Float32Array(elementCount(layout.shape)).fill(Number.NaN), layout.shape).buffer,
});

function submit(record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = ctx.device.createCommandEncoder();
  record(encoder);
  ctx.device.queue.submit([encoder.finish()]);
}

async function attended(tokensQ: number, tokensK: number, heads = 2, dim = 16) {
  const [q, k] = [noise([1, tokensQ, heads, dim]), noise([1, tokensK, heads, dim])];
  const { lse } = await softmaxAttention(ctx, q, k, k, { causal: true, lse: true });
  return { q, k, lse: lse! };
}

const STATISTICS: StatisticsRequest = {
  receivedMean: true,
  receivedMax: true,
  entropy: true,
  mass: [{ range: [0, 9] }],
  topKeys: 3,
  map: { rows: 4, columns: 5 },
};

describe("a plan of statistics", () => {
  test("gives the same bits twice, without allocating or submitting", async () => {
    const inputs = await attended(70, 90);
    const plan = await planAttentionStatistics(ctx, { ...inputs, causal: true, statistics: STATISTICS });
    const outputs = () => Object.entries(plan.outputs).map(([name, layout]) => [name, nan(layout)] as const);
    const [first, second] = [outputs(), outputs()];
    for (const views of [first, second])
      submit((encoder) => plan.record(encoder, { ...inputs, ...Object.fromEntries(views) }));
    for (const [index, [name, view]] of first.entries()) {
      const [a, b] = [await ctx.read(view), await ctx.read(second[index]![1])];
      expect(a.every(Number.isFinite), name).toBe(true);
      expect(new Uint32Array(b.buffer), name).toEqual(new Uint32Array(a.buffer));
    }
    const spies = [
      vi.spyOn(ctx.device, "createBuffer"),
      vi.spyOn(ctx.device, "createBindGroup"),
      vi.spyOn(ctx.device.queue, "submit"),
    ];
    const encoder = ctx.device.createCommandEncoder();
    plan.record(encoder, { ...inputs, ...Object.fromEntries(first) });
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
    ctx.device.queue.submit([encoder.finish()]);
    plan.destroy();
  });

  test("agrees with itself when cut into many dispatches", async () => {
    const inputs = await attended(130, 150);
    const problem = { ...inputs, causal: true, statistics: { ...STATISTICS, headDiversity: true } };
    const whole = await planAttentionStatistics(ctx, problem);
    const cutContext = await AttentionContext.create(ctx.device, { maxDispatchMs: 0.5 });
    cutContext.fillScratch(Number.NaN);
    const cut = await planAttentionStatistics(cutContext, problem);
    expect(cut.passes.length).toBeGreaterThan(whole.passes.length + 3);
    expect(cut.segments.flatMap(({ passes }) => passes)).toEqual(cut.passes);
    const views = [whole, cut].map(({ outputs }) =>
      Object.fromEntries(Object.entries(outputs).map(([name, layout]) => [name, nan(layout)])),
    );
    submit((encoder) => whole.record(encoder, { ...inputs, ...views[0] }));
    for (const segment of cut.segments)
      submit((encoder) => segment.record(encoder, { ...inputs, ...views[1] }));
    for (const name of Object.keys(views[0]!)) {
      const [expected, actual] = [await ctx.read(views[0]![name]!), await ctx.read(views[1]![name]!)];
      expect(difference(actual, expected).maxRelative, name).toBeLessThanOrEqual(TOLERANCE);
    }
    whole.destroy();
    cut.destroy();
    cutContext.destroy();
  });

  test("makes no buffer that grows with queries times keys", async () => {
    const sizes: number[] = [];
    for (const tokens of [2048, 4096]) {
      const layout = (dim: number): TensorLayout => ({ dtype: "f32", shape: [1, tokens, 1, dim] });
      const spy = vi.spyOn(ctx.device, "createBuffer");
      const plan = await planAttentionStatistics(ctx, {
        ...{ q: layout(4), k: layout(4), lse: layout(1) },
        statistics: {
          ...STATISTICS,
          receivedSum: true,
          futureInfluence: { low: 0, high: 9 },
          headDiversity: true,
        },
      });
      const scratch = plan.passes.flatMap(({ bindings }) =>
        Object.values(bindings).flatMap((source) => ("scratch" in source ? [source.bytes] : [])),
      );
      sizes.push(Math.max(...scratch, ...spy.mock.calls.map(([{ size }]) => size)));
      spy.mockRestore();
      plan.destroy();
    }
    expect(sizes[1]! / sizes[0]!).toBeLessThan(2.1);
    expect(sizes[1]!).toBeLessThan(4 * 1024 * 1024);
  });
});

describe("the running form", () => {
  test("adds what later queries give to what earlier ones gave", async () => {
    const [batches, tokens, heads, kvHeads, dim] = [2, 23, 4, 2, 16];
    const [q, k] = [noise([batches, tokens, heads, dim]), noise([batches, tokens, kvHeads, dim])];
    // Keys leave the window, whose means stay; others are never seen.
    const masks = {
      ...{ causal: true, window: { left: 9 } },
      keyMask: Array.from({ length: batches * tokens }, (_, n) => (n % 7 === 3 ? 0 : 1)),
    };
    const statistics = { receivedSum: true, receivedCount: true, receivedMean: true };
    const { lse: all } = await softmaxAttention(ctx, q, k, k, { ...masks, lse: true });
    const whole = await attentionStatistics(ctx, q, k, all!, { ...masks, statistics });
    let carried: { sum: TensorView; count: TensorView } | undefined;
    let mean: TensorView | undefined;
    for (const [begin, end] of [
      [0, 20],
      [20, 21],
      [21, 23],
    ] as const) {
      // A cache of fixed capacity that fills up.
      const rows: TensorView = {
        ...q,
        shape: [batches, end - begin, heads, dim],
        strides: [tokens * heads * dim, heads * dim, dim, 1],
        offset: begin * heads * dim,
      };
      const options = { ...masks, queryOffset: begin, keyLengths: [end, end] };
      const { lse } = await softmaxAttention(ctx, rows, k, k, { ...options, lse: true });
      const found = await attentionStatistics(ctx, rows, k, lse!, {
        ...{ ...options, statistics },
        ...(carried && { carried }),
      });
      carried = { sum: found.receivedSum!, count: found.receivedCount! };
      mean = found.receivedMean!;
    }
    const expected = [whole.receivedSum!, whole.receivedCount!, whole.receivedMean!];
    for (const [index, view] of [carried!.sum, carried!.count, mean!].entries())
      expect(difference(await ctx.read(view), await ctx.read(expected[index]!)).maxRelative).toBeLessThan(
        TOLERANCE,
      );
  });
});
