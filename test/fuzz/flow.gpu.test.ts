/** Random shapes, layouts and options of flow attention against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { expect } from "vitest";
import { type FlowCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/flow/cases.js";
import { lengthsOf, makeCaseInputs, withHiddenNaN } from "../../kernels/flow/check-case.js";
import { flowStateShape, planFlowAttention } from "../../kernels/flow/index.js";
import { flowAttentionReference } from "../../kernels/flow/reference.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { placedData, placedLayout, placedSize } from "../support/placement.js";
import { expectWritten } from "./expect-written.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";

/** A share of the tokens for each batch entry, or none given. */
const shares = fc.option(fc.tuple(integer(0, 100), integer(0, 100)), { nil: undefined });

const flowCase: fc.Arbitrary<FlowCase> = fc
  .record({
    batches: integer(1, 2),
    tokensQ: fc.oneof(integer(1, 3), integer(4, 150)),
    tokensK: integer(1, 150),
    heads: integer(1, 3),
    headDim: fc.oneof(integer(1, 20), fc.constantFrom(32, 64, 100)),
    valueDim: fc.oneof(integer(1, 20), fc.constantFrom(32, 64, 100)),
    dtype: fc.constantFrom<"f32" | "f16">("f32", "f16"),
    outDtype: fc.constantFrom<"f32" | "f16">("f32", "f16"),
    spread: fc.constantFrom(1, 6),
    mean: fc.constantFrom(0, -4),
    causal: fc.boolean(),
    clamp: fc.constantFrom(1, 5, null),
    epsilon: fc.constantFrom(1e-6, 0.01),
    cv: fc.boolean(),
    queryShares: shares,
    keyShares: shares,
  })
  .map(({ causal, clamp, epsilon, cv, queryShares, keyShares, tokensK, ...sizes }) => {
    const tokens = causal ? sizes.tokensQ : tokensK;
    const lengths = (given: readonly number[] | undefined, of: number) =>
      given?.slice(0, sizes.batches).map((share) => Math.round((share / 100) * of));
    const queryLengths = lengths(queryShares, sizes.tokensQ);
    const keyLengths = causal ? undefined : lengths(keyShares, tokens);
    return {
      name: "fuzz",
      ...sizes,
      tokensK: tokens,
      options: {
        causal,
        clamp,
        epsilon,
        variant: cv && !causal ? ("cv" as const) : ("core" as const),
        ...(queryLengths && { queryLengths }),
        ...(keyLengths && { keyLengths }),
      },
    };
  });

const fuzzCase = fc.record({
  problem: flowCase,
  placements: fc.tuple(...Array.from({ length: 4 }, () => placement)),
  dataSeed: integer(0, 10_000),
});

fuzz(
  "flow attention agrees with the reference",
  fuzzCase,
  { runs: 12, secondsPerRun: 6 },
  async (ctx, { problem, placements, dataSeed }) => {
    const inputs = makeCaseInputs(problem, dataSeed);
    const { queryLengths, keyLengths } = lengthsOf(problem);
    const { batches, heads, headDim, valueDim, dtype, outDtype, options } = problem;
    const buffers: GPUBuffer[] = [];
    const place = (index: number, shape: Shape4, type: "f32" | "f16", data?: ArrayLike<number>) => {
      const layout = placedLayout(shape, type, placements[index]!);
      const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
      const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], type);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const stateOut = options.causal && ctx.empty(flowStateShape(batches, heads, headDim, valueDim));
    if (stateOut) buffers.push(stateOut.buffer);
    const tensors = {
      q: place(0, inputs.q.shape, dtype, withHiddenNaN(inputs.q, queryLengths)),
      k: place(1, inputs.k.shape, dtype, withHiddenNaN(inputs.k, keyLengths)),
      v: place(2, inputs.v.shape, dtype, withHiddenNaN(inputs.v, keyLengths)),
      out: place(3, shapesOf(problem).out, outDtype),
      ...(stateOut && { stateOut }),
    };
    try {
      const plan = await planFlowAttention(ctx, { ...options, ...tensors });
      await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
      plan.destroy();
      const expected = flowAttentionReference({ ...inputs, ...options, queryLengths, keyLengths });
      await expectWritten(
        ctx,
        "out",
        tensors.out,
        expected,
        outDtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
      );
      if (stateOut) expect((await ctx.read(stateOut)).every(Number.isFinite)).toBe(true);
    } finally {
      for (const buffer of buffers) buffer.destroy();
    }
  },
);
