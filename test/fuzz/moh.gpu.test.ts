/** Random shapes, layouts and choices of heads against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import {
  type Dense,
  type MixtureInputs,
  makeCaseInputs,
  referenceInputs,
  storedMatrix,
} from "../../kernels/moh/case-inputs.js";
import { type MixtureCase, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/moh/cases.js";
import { planMixtureOfHeadAttention } from "../../kernels/moh/index.js";
import { mixtureOfHeadReference, projectionReference } from "../../kernels/moh/reference.js";
import type { Shape4, TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../support/compare.js";
import { type PlacedLayout, placedData, placedLayout, placedSize } from "../support/placement.js";
import { normalArray, randomSource } from "../support/random.js";
import { expectWritten } from "./expect-written.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";

const storage = fc.constantFrom<"f32" | "f16">("f32", "f16");

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
    rotary: fc.boolean(),
    padded: fc.boolean(),
  })
  .map(({ earlier, group, sharedShare, topShare, causal, rotary, padded, ...sizes }) => {
    const heads = sizes.kvHeads * group;
    const sharedHeads = Math.round((sharedShare / 100) * heads);
    const routed = heads - sharedHeads;
    const topK = Math.max(sharedHeads === 0 ? 1 : 0, Math.round((topShare / 100) * routed));
    const tokensK = sizes.tokens + earlier;
    const options = {
      causal,
      ...(rotary && sizes.headDim % 2 === 0 && { rope: { theta: 1000 } }),
      ...(padded && { keyLengths: [Math.ceil(tokensK / 2), tokensK].slice(0, sizes.batches) }),
    };
    return { name: "fuzz", ...sizes, heads, sharedHeads, topK, tokensK, options };
  });

const fuzzCase = fc.record({
  problem: mixtureCase,
  placements: fc.record({
    x: placement,
    q: placement,
    k: placement,
    v: placement,
    out: placement,
    gates: placement,
  }),
  dataSeed: integer(0, 999),
  /** q, k and v are made of x, where they can be. */
  projected: fc.boolean(),
});

fuzz(
  "mixture-of-head attention agrees with the reference",
  fuzzCase,
  { runs: 8, secondsPerRun: 12 },
  async (ctx, { problem, placements, dataSeed, projected }) => {
    const given = makeCaseInputs(problem, dataSeed);
    const inputMatrices = projected ? projectionsOf(problem, dataSeed) : undefined;
    const inputs = inputMatrices ? projectedInputs(problem, given, inputMatrices) : given;
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
    const matrix = (tensor: Dense): TensorView => {
      const { layout, data } = storedMatrix(tensor, problem.innerFirst);
      const { buffer } = ctx.fromArray(data, [1, 1, 1, data.length]);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const matrices = (named: Readonly<Record<string, Dense>>) =>
      Object.fromEntries(Object.entries(named).map(([name, tensor]) => [name, matrix(tensor)]));
    const outBias = inputs.bias && ctx.fromArray(inputs.bias.data, inputs.bias.shape);
    if (outBias) buffers.push(outBias.buffer);
    const loss = router === "learned" && topK > 0 ? ctx.fromArray([Number.NaN], [1, 1, 1, 1]) : undefined;
    if (loss) buffers.push(loss.buffer);
    const tensors = {
      x: place("x", inputs.x.shape, dtype, inputs.x.data),
      ...(!inputMatrices && {
        q: place("q", inputs.q.shape, dtype, inputs.q.data),
        k: place("k", inputs.k.shape, dtype, inputs.k.data),
        v: place("v", inputs.v.shape, dtype, inputs.v.data),
      }),
      weights: {
        ...matrices({ ...inputs.weights, ...inputMatrices }),
        out: matrix(inputs.weight),
        ...(outBias && { outBias }),
      },
      ...(loss && { loss }),
      out: place("out", [batches, tokens, 1, outer], outDtype),
      gates: place("gates", [batches, tokens, heads, 1], "f32"),
    };
    try {
      const plan = await planMixtureOfHeadAttention(ctx, {
        ...options,
        ...tensors,
        ...(inputMatrices && { heads, kvHeads: problem.kvHeads }),
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
      if (loss && !(difference(await ctx.read(loss), [expected.loss]).maxRelative <= TOLERANCE_F32))
        throw new Error(`loss: ${await ctx.read(loss)}, expected ${expected.loss}`);
    } finally {
      for (const buffer of buffers) buffer.destroy();
    }
  },
);

/** Matrices that make q, k and v of x; none where the problem's cannot be made of it, or their norms decide. */
function projectionsOf(
  problem: MixtureCase,
  seed: number,
): Record<"query" | "key" | "value", Dense> | undefined {
  const { tokens, tokensK, heads, kvHeads, headDim, valueDim, width, dtype, router } = problem;
  if (dtype === "f16" || tokens !== tokensK || router === "norm") return undefined;
  const random = randomSource(seed);
  const make = (columns: number): Dense => ({
    data: normalArray(width * columns, random).map((value) => value / Math.sqrt(width)),
    shape: [1, 1, width, columns],
  });
  return { query: make(heads * headDim), key: make(kvHeads * headDim), value: make(kvHeads * valueDim) };
}

function projectedInputs(
  { width }: MixtureCase,
  inputs: MixtureInputs,
  { query, key, value }: Record<"query" | "key" | "value", Dense>,
): MixtureInputs {
  const project = ({ shape }: Dense, matrix: Dense): Dense => ({
    data: Float32Array.from(projectionReference(inputs.x.data, width, matrix)),
    shape,
  });
  const { q, k, v } = inputs;
  return { ...inputs, q: project(q, query), k: project(k, key), v: project(v, value) };
}
