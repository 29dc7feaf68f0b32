/** Random shapes, layouts, options and pieces of prefix softmax against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import {
  type PrefixSoftmaxCase,
  TOLERANCE_F16,
  TOLERANCE_F32,
  TOLERANCE_LARGE_SCORES,
} from "../../kernels/linear/prefix/cases.js";
import { makeInputs, withHiddenNaN } from "../../kernels/linear/prefix/check-case.js";
import { planPrefixSoftmaxAttention, prefixSoftmaxStateShape } from "../../kernels/linear/prefix/index.js";
import { prefixSoftmaxReference } from "../../kernels/linear/prefix/reference.js";
import type { Shape4, TensorView } from "../../src/dispatch/tensor-view.js";
import { placedData, placedLayout, placedSize } from "../support/placement.js";
import { expectWritten } from "./expect-written.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";

const prefixCase: fc.Arbitrary<PrefixSoftmaxCase> = fc
  .record({
    batches: integer(1, 2),
    tokens: fc.oneof(integer(1, 3), integer(4, 200)),
    kvHeads: integer(1, 2),
    group: integer(1, 3),
    headDim: fc.oneof(integer(1, 20), fc.constantFrom(32, 64, 100)),
    valueDim: fc.oneof(integer(1, 20), fc.constantFrom(32, 64, 100)),
    dtype: fc.constantFrom<"f32" | "f16">("f32", "f16"),
    outDtype: fc.constantFrom<"f32" | "f16">("f32", "f16"),
    activation: fc.constantFrom<"silu" | "identity">("silu", "identity"),
    scale: fc.constantFrom(0.2, 1, 40, -40),
    shares: fc.option(fc.tuple(integer(0, 100), integer(0, 100)), { nil: undefined }),
  })
  .map(({ group, shares, ...sizes }) => {
    const keyLengths = shares
      ?.slice(0, sizes.batches)
      .map((share) => Math.round((share / 100) * sizes.tokens));
    return {
      name: "fuzz",
      ...sizes,
      heads: group * sizes.kvHeads,
      ...(keyLengths && { keyLengths }),
    };
  });

const fuzzCase = fc.record({
  problem: prefixCase,
  /** Where the sequence is cut in two, in percent: at an end there is one piece. */
  cut: integer(0, 100),
  placements: fc.tuple(...Array.from({ length: 4 }, () => placement)),
  dataSeed: integer(0, 10_000),
});

fuzz(
  "prefix softmax agrees with the reference",
  fuzzCase,
  { runs: 15, secondsPerRun: 6 },
  async (ctx, { problem, cut, placements, dataSeed }) => {
    const { batches, tokens, heads, valueDim, dtype, outDtype = dtype } = problem;
    const { activation, scale, keyLengths } = problem;
    const inputs = makeInputs(problem, dataSeed);
    const options = { ...(activation && { activation }), ...(scale !== undefined && { scale }) };
    const buffers: GPUBuffer[] = [];
    const place = (index: number, shape: Shape4, type: "f32" | "f16", data?: ArrayLike<number>) => {
      const layout = placedLayout(shape, type, placements[index]!);
      const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
      const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], type);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const whole = {
      q: place(0, inputs.q.shape, dtype, withHiddenNaN(inputs.q, keyLengths)),
      k: place(1, inputs.k.shape, dtype, withHiddenNaN(inputs.k, keyLengths)),
      v: place(2, inputs.v.shape, dtype, withHiddenNaN(inputs.v, keyLengths)),
      out: place(3, [batches, tokens, heads, valueDim], outDtype),
    };
    const piece = (view: TensorView, from: number, count: number): TensorView => {
      const [b, , h, d] = view.shape;
      return { ...view, shape: [b, count, h, d], offset: (view.offset ?? 0) + from * view.strides![1] };
    };
    try {
      let state: TensorView | undefined;
      const middle = Math.round((cut / 100) * tokens);
      for (const [from, end] of [
        [0, middle],
        [middle, tokens],
      ] as const) {
        const count = end - from;
        if (count === 0) continue;
        const stateOut = ctx.empty(prefixSoftmaxStateShape(batches, heads, valueDim));
        buffers.push(stateOut.buffer);
        const [q, k, v, out] = [whole.q, whole.k, whole.v, whole.out].map((view) =>
          piece(view, from, count),
        ) as [TensorView, TensorView, TensorView, TensorView];
        const tensors = { q, k, v, out, stateOut, ...(state && { state }) };
        const lengths = keyLengths?.map((length) => Math.min(Math.max(length - from, 0), count));
        const plan = await planPrefixSoftmaxAttention(ctx, {
          ...options,
          ...tensors,
          ...(lengths && { keyLengths: lengths }),
        });
        await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
        plan.destroy();
        state = stateOut;
      }
      const expected = prefixSoftmaxReference({ ...inputs, ...options, ...(keyLengths && { keyLengths }) });
      const exact = Math.abs(scale ?? 1) > 1 ? TOLERANCE_LARGE_SCORES : TOLERANCE_F32;
      const isHalf = dtype === "f16" || outDtype === "f16";
      await expectWritten(ctx, "out", whole.out, expected, isHalf ? TOLERANCE_F16 : exact);
    } finally {
      for (const buffer of buffers) buffer.destroy();
    }
  },
);
