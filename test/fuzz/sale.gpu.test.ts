/**
 * Random shapes, layouts and options of SALE against the float64 reference: integers but for ties, every block wherever rounding
 * leaves no choice, outputs. FUZZ_SEED and FUZZ_RUNS as in softmax's.
 */
import fc from "fast-check";
import { type SaleCase, shapesOf } from "../../kernels/sale/cases.js";
import { checkRun, makeCaseInputs } from "../../kernels/sale/check-case.js";
import { planSaleAttention } from "../../kernels/sale/index.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { placedData, placedLayout, placedSize, places } from "../support/placement.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";

/** Widths come from a few: each costs a compilation of every kernel. */
const saleCase: fc.Arbitrary<SaleCase> = fc
  .record({
    batches: integer(1, 2),
    tokens: fc.oneof(integer(1, 200), integer(200, 500)),
    kvHeads: integer(1, 2),
    group: integer(1, 3),
    headDim: fc.constantFrom(5, 32, 64),
    valueDim: fc.constantFrom(5, 32),
    dtype: fc.constantFrom<"f32" | "f16">("f32", "f16"),
    blockK: fc.constantFrom(16, 32, 64),
    segments: integer(1, 4),
    locals: integer(0, 3),
    spread: fc.constantFrom(1, 2),
    mean: fc.constantFrom(0, 1),
    thresholds: fc.array(fc.constantFrom(0, 0.01, 0.05, 0.1, 0.3), { minLength: 6, maxLength: 6 }),
  })
  .map(({ group, segments, locals, thresholds, ...sizes }) => {
    const heads = group * sizes.kvHeads;
    return {
      name: "fuzz",
      ...sizes,
      heads,
      thresholds: thresholds.slice(0, heads),
      segment: segments * sizes.blockK,
      localWindow: 64 + locals * sizes.blockK,
    };
  });

const fuzzCase = fc.record({
  problem: saleCase,
  placements: fc.tuple(...Array.from({ length: 4 }, () => placement)),
  dataSeed: integer(0, 10_000),
});

fuzz(
  "SALE agrees with the reference",
  fuzzCase,
  { runs: 8, secondsPerRun: 12 },
  async (ctx, { problem, placements, dataSeed }) => {
    const inputs = makeCaseInputs(problem, dataSeed);
    const { dtype, thresholds, blockK, segment, localWindow } = problem;
    const buffers: GPUBuffer[] = [];
    const place = (index: number, shape: Shape4, data?: ArrayLike<number>) => {
      const layout = placedLayout(shape, dtype, placements[index]!);
      const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
      const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], dtype);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const tensors = {
      q: place(0, inputs.q.shape, inputs.q.data),
      k: place(1, inputs.k.shape, inputs.k.data),
      v: place(2, inputs.v.shape, inputs.v.data),
      out: place(3, shapesOf(problem).out),
    };
    const plan = await planSaleAttention(ctx, { ...tensors, thresholds, blockK, segment, localWindow });
    try {
      await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
      const { buffer } = tensors.out;
      const memory = await ctx.read({ buffer, dtype, shape: [1, 1, 1, placedSize(tensors.out)] });
      const own = places(tensors.out);
      const out = own.map((index) => memory[index]!);
      const { error, tolerance } = await checkRun(ctx, problem, inputs, plan, out);
      if (!(error <= tolerance)) throw new Error(`out: error ${error}, allowed ${tolerance}`);
      const inside = new Set(own);
      const spilled = memory.findIndex((value, index) => !inside.has(index) && !Number.isNaN(value));
      if (spilled >= 0) throw new Error(`out: element ${spilled} of its buffer lies outside and was written`);
    } finally {
      plan.destroy();
      for (const buffer of buffers) buffer.destroy();
    }
  },
);
