/** Random shapes, layouts and options of flow attention against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type FlowCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/flow/cases.js";
import { lengthsOf, makeCaseInputs, withHiddenNaN } from "../../kernels/flow/check-case.js";
import { flowStateShape, planFlowAttention } from "../../kernels/flow/index.js";
import { flowAttentionReference } from "../../kernels/flow/reference.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { testContext } from "../support/gpu.js";
import { expectWritten } from "./expect-written.js";
import { type Placement, placedData, placedLayout, placedSize } from "./placement.js";

const env: Record<string, string | undefined> = typeof process === "undefined" ? {} : process.env;
const seed = Number(env.FUZZ_SEED ?? 1);
const numRuns = Number(env.FUZZ_RUNS ?? 12);
const SECONDS_PER_RUN = 6;
const SECONDS_TO_SHRINK = 60;

const integer = (min: number, max: number) => fc.integer({ min, max });

const placement: fc.Arbitrary<Placement> = fc.record({
  order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
  padding: fc.tuple(integer(0, 3), integer(0, 3), integer(0, 3), integer(0, 3)),
  offset: integer(0, 9),
});
const aligned: Placement = { order: [0, 1, 2, 3], padding: [0, 0, 0, 0], offset: 0 };

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
  placements: fc.tuple(...Array.from({ length: 4 }, () => fc.oneof(fc.constant(aligned), placement))),
  dataSeed: integer(0, 10_000),
});

test(`flow attention agrees with the reference, ${numRuns} runs from seed ${seed}`, {
  timeout: (numRuns * SECONDS_PER_RUN + SECONDS_TO_SHRINK) * 1000,
}, async () => {
  const ctx = await testContext();
  const property = fc.asyncProperty(fuzzCase, async ({ problem, placements, dataSeed }) => {
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
  });
  const interruptAfterTimeLimit = numRuns * SECONDS_PER_RUN * 1000;
  const found = await fc.check(property, {
    seed,
    numRuns,
    interruptAfterTimeLimit,
    includeErrorInReport: true,
  });
  expect(found.failed, fc.defaultReportMessage(found) ?? "").toBe(false);
});
