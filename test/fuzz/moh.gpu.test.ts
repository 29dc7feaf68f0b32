/** Random shapes, layouts and choices of heads against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { makeCaseInputs, referenceInputs, storedMatrix } from "../../kernels/moh/case-inputs.js";
import { type MixtureCase, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/moh/cases.js";
import { planMixtureOfHeadAttention } from "../../kernels/moh/index.js";
import { mixtureOfHeadReference } from "../../kernels/moh/reference.js";
import type { Shape4, TensorView } from "../../src/dispatch/tensor-view.js";
import { testContext } from "../support/gpu.js";
import { expectWritten } from "./expect-written.js";
import { type PlacedLayout, type Placement, placedData, placedLayout, placedSize } from "./placement.js";

const env: Record<string, string | undefined> = typeof process === "undefined" ? {} : process.env;
const seed = Number(env.FUZZ_SEED ?? 1);
const numRuns = Number(env.FUZZ_RUNS ?? 8);
const SECONDS_PER_RUN = 12;
const SECONDS_TO_SHRINK = 60;

const integer = (min: number, max: number) => fc.integer({ min, max });
const storage = fc.constantFrom<"f32" | "f16">("f32", "f16");

const placement: fc.Arbitrary<Placement> = fc.record({
  order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
  padding: fc.tuple(integer(0, 3), integer(0, 3), integer(0, 3), integer(0, 3)),
  offset: integer(0, 9),
});
const aligned: Placement = { order: [0, 1, 2, 3], padding: [0, 0, 0, 0], offset: 0 };
const places = fc.oneof(fc.constant(aligned), placement);

const mixtureCase: fc.Arbitrary<MixtureCase> = fc
  .record({
    batches: integer(1, 2),
    tokens: fc.oneof(integer(1, 3), integer(4, 120)),
    earlier: fc.constantFrom(0, 0, 13),
    kvHeads: integer(1, 3),
    group: integer(1, 4),
    sharedShare: integer(0, 100),
    topShare: integer(0, 100),
    headDim: fc.constantFrom(4, 7, 16),
    valueDim: fc.constantFrom(4, 5, 16),
    width: integer(1, 40),
    outer: integer(1, 70),
    router: fc.constantFrom<"learned" | "norm">("learned", "norm"),
    dtype: storage,
    outDtype: storage,
    innerFirst: fc.boolean(),
    hasBias: fc.boolean(),
    causal: fc.boolean(),
  })
  .map(({ earlier, group, sharedShare, topShare, causal, ...sizes }) => {
    const heads = sizes.kvHeads * group;
    const sharedHeads = Math.round((sharedShare / 100) * heads);
    const routed = heads - sharedHeads;
    const topK = Math.max(sharedHeads === 0 ? 1 : 0, Math.round((topShare / 100) * routed));
    const tokensK = sizes.tokens + earlier;
    return { name: "fuzz", ...sizes, heads, sharedHeads, topK, tokensK, options: { causal } };
  });

const fuzzCase = fc.record({
  problem: mixtureCase,
  placements: fc.record({ x: places, q: places, k: places, v: places, out: places, gates: places }),
  dataSeed: integer(0, 999),
});

test(`mixture-of-head attention agrees with the reference, ${numRuns} runs from seed ${seed}`, {
  timeout: (numRuns * SECONDS_PER_RUN + SECONDS_TO_SHRINK) * 1000,
}, async () => {
  const ctx = await testContext();
  const property = fc.asyncProperty(fuzzCase, async ({ problem, placements, dataSeed }) => {
    const inputs = makeCaseInputs(problem, dataSeed);
    const { batches, tokens, heads, outer, dtype, outDtype, sharedHeads, topK, router, options } = problem;
    const buffers: GPUBuffer[] = [];
    const place = (
      name: keyof typeof placements,
      shape: Shape4,
      type: "f32" | "f16",
      data?: ArrayLike<number>,
    ): TensorView & PlacedLayout => {
      const layout = placedLayout(shape, type, placements[name]);
      const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
      const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], type);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const matrix = (name: "routed" | "shared" | "balance" | "weight"): TensorView | undefined => {
      const tensor = name === "weight" ? inputs.weight : inputs.weights[name];
      if (!tensor) return undefined;
      const { layout, data } = storedMatrix(tensor, problem.innerFirst);
      const { buffer } = ctx.fromArray(data, [1, 1, 1, data.length]);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const [routed, shared, balance] = [matrix("routed"), matrix("shared"), matrix("balance")];
    const outBias = inputs.bias && ctx.fromArray(inputs.bias.data, inputs.bias.shape);
    if (outBias) buffers.push(outBias.buffer);
    const tensors = {
      x: place("x", inputs.x.shape, dtype, inputs.x.data),
      q: place("q", inputs.q.shape, dtype, inputs.q.data),
      k: place("k", inputs.k.shape, dtype, inputs.k.data),
      v: place("v", inputs.v.shape, dtype, inputs.v.data),
      weights: {
        ...(routed && { routed }),
        ...(shared && { shared }),
        ...(balance && { balance }),
        out: matrix("weight")!,
        ...(outBias && { outBias }),
      },
      out: place("out", [batches, tokens, 1, outer], outDtype),
      gates: place("gates", [batches, tokens, heads, 1], "f32"),
    };
    try {
      const plan = await planMixtureOfHeadAttention(ctx, {
        ...options,
        ...tensors,
        sharedHeads,
        topK,
        router,
      });
      await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
      plan.destroy();
      const expected = mixtureOfHeadReference(referenceInputs(problem, inputs));
      const half = dtype === "f16" || outDtype === "f16";
      await expectWritten(ctx, "gates", tensors.gates, expected.gates, TOLERANCE_F32);
      await expectWritten(ctx, "out", tensors.out, expected.out, half ? TOLERANCE_F16 : TOLERANCE_F32);
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
