/** Random shapes, layouts and options of linear attention against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { makeLinearInputs } from "../../kernels/linear/case-inputs.js";
import { type LinearCase, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/linear/cases.js";
import { planLinearAttention } from "../../kernels/linear/index.js";
import { linearAttentionReference } from "../../kernels/linear/reference.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { placedData, placedLayout, placedSize } from "../support/placement.js";
import { normalArray, randomSource } from "../support/random.js";
import { expectWritten } from "./expect-written.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";

const linearCase: fc.Arbitrary<LinearCase> = fc.record(
  {
    name: fc.constant("fuzz"),
    batches: integer(1, 2),
    tokens: fc.oneof(integer(1, 16), integer(17, 140)),
    heads: integer(1, 3),
    headDim: fc.oneof(integer(1, 20), fc.constantFrom(32, 64, 100)),
    valueDim: fc.oneof(integer(1, 20), fc.constantFrom(32, 64, 100)),
    dtype: fc.constantFrom("f32", "f16"),
    outDtype: fc.constantFrom("f32", "f16"),
    decay: fc.constantFrom([0], [0.2, 0], [0.01], [5, 0.5]),
    scale: fc.constantFrom(1, 0.2),
    featureMap: fc.constantFrom("identity", "silu", "elu+1", "relu"),
    state: fc.boolean(),
  },
  { requiredKeys: ["name", "batches", "tokens", "heads", "headDim", "valueDim", "dtype"] },
);

const fuzzCase = fc.record({
  problem: linearCase,
  normalize: fc.boolean(),
  placements: fc.tuple(...Array.from({ length: 4 }, () => placement)),
  dataSeed: integer(0, 10_000),
});

fuzz(
  "linear attention agrees with the reference",
  fuzzCase,
  { runs: 15, secondsPerRun: 6 },
  async (ctx, { problem: chosen, normalize, placements, dataSeed }) => {
    // Of keys that may be negative, a sum may come near zero, and no precision is enough.
    const problem = { ...chosen, normalize: normalize && chosen.featureMap === "elu+1" };
    const random = randomSource(dataSeed);
    const { q, k, v, options, state } = makeLinearInputs(problem, () => normalArray(1, random)[0]!);
    const { batches, tokens, heads, headDim, valueDim, dtype, outDtype = dtype } = problem;
    const buffers: GPUBuffer[] = [];
    const place = (index: number, shape: Shape4, type: "f32" | "f16", data?: ArrayLike<number>) => {
      const layout = placedLayout(shape, type, placements[index]!);
      const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
      const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], type);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const sShape: Shape4 = [batches, heads, headDim, valueDim];
    const zShape: Shape4 = [batches, heads, headDim, 1];
    const tensors = {
      q: place(0, q.shape, dtype, q.data),
      k: place(1, k.shape, dtype, k.data),
      v: place(2, v.shape, dtype, v.data),
      out: place(3, [batches, tokens, heads, valueDim], outDtype),
      ...(state && {
        state: {
          s: place(0, sShape, "f32", state.s),
          ...(state.z && { z: place(1, zShape, "f32", state.z) }),
        },
      }),
      stateOut: { s: place(2, sShape, "f32"), ...(problem.normalize && { z: place(3, zShape, "f32") }) },
    };
    try {
      const plan = await planLinearAttention(ctx, { ...options, ...tensors });
      await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
      plan.destroy();
      const expected = linearAttentionReference({ q, k, v, ...options, ...(state && { state }) });
      const halves = dtype === "f16" || outDtype === "f16";
      await expectWritten(ctx, "out", tensors.out, expected.out, halves ? TOLERANCE_F16 : TOLERANCE_F32);
      await expectWritten(ctx, "s", tensors.stateOut.s, expected.s, TOLERANCE_F32);
      if (tensors.stateOut.z) await expectWritten(ctx, "z", tensors.stateOut.z, expected.z, TOLERANCE_F32);
    } finally {
      for (const buffer of buffers) buffer.destroy();
    }
  },
);
