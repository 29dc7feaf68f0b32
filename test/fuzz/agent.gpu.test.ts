/** Random shapes, layouts and options of agent attention against the float64 reference; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { expectedOutput, makeCaseInputs, shapesOf } from "../../kernels/agent/case-inputs.js";
import {
  type AgentCase,
  type AgentCaseOptions,
  TOLERANCE_F16,
  TOLERANCE_F32,
} from "../../kernels/agent/cases.js";
import { problemOf } from "../../kernels/agent/check-case.js";
import { planAgentAttention } from "../../kernels/agent/index.js";
import type { Shape4, TensorView } from "../../src/dispatch/tensor-view.js";
import { placedData, placedLayout, placedSize } from "../support/placement.js";
import { normalArray, randomSource } from "../support/random.js";
import { expectWritten } from "./expect-written.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";

const grid = fc.tuple(integer(1, 8), integer(1, 12));

const axes = fc.tuple(fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean());
const sizes = fc.record({
  batches: integer(1, 2),
  heads: integer(1, 3),
  headDim: fc.constantFrom(1, 3, 4, 8, 17, 32),
  valueDim: fc.constantFrom(1, 4, 6, 8, 33),
  dtype: fc.constantFrom("f32", "f16"),
  outDtype: fc.constantFrom("f32", "f16"),
  agentDtype: fc.constantFrom("f32", "f16"),
});
const simple = fc.record(
  {
    scale: fc.constantFrom(0, 1, -0.5),
    secondScale: fc.constantFrom(0.3, 2),
    agentBias: axes,
    queryBias: axes,
    hide: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** Tokens are free, or a grid with a convolution, a pool, windows, a class token or values of another grid. */
const agentCase: fc.Arbitrary<AgentCase> = fc
  .record({
    sizes,
    simple,
    grid: fc.option(grid),
    keyGrid: fc.option(grid, { freq: 4 }),
    tokens: fc.tuple(integer(1, 60), fc.oneof(integer(1, 60), integer(100, 500))),
    agents: fc.oneof(integer(1, 12), fc.constantFrom(33, 49, 70)),
    pool: fc.option(fc.tuple(integer(1, 4), integer(1, 4))),
    windows: fc.option(fc.tuple(integer(1, 3), integer(1, 3)), { freq: 3 }),
    classToken: fc.boolean(),
    convolved: fc.boolean(),
    bias: fc.boolean(),
    shortcut: fc.option(fc.constantFrom(0.075, 1)),
  })
  .map(({ sizes, simple, grid, keyGrid, tokens, agents, pool, windows: counts, ...given }) => {
    if (!grid) {
      const [tokensQ, tokensK] = tokens;
      return { name: "fuzz", ...sizes, tokensQ, tokensK, agents, options: simple };
    }
    const windows = counts
      ? { image: [grid[0] * counts[0], grid[1] * counts[1]] as const, size: grid }
      : undefined;
    const classToken = given.classToken && !windows;
    const values = keyGrid && given.convolved && !windows ? keyGrid : grid;
    const tokensQ = grid[0] * grid[1] + (classToken ? 1 : 0);
    const tokensK = values[0] * values[1] + (classToken ? 1 : 0);
    const options: AgentCaseOptions = {
      ...simple,
      ...(windows && { windows }),
      ...(pool && { pool: { grid, pool, classToken } }),
      ...(given.convolved && { depthwise: { grid, keyGrid: values, classToken, bias: given.bias } }),
      ...(given.shortcut !== null && tokensQ === tokensK && { shortcut: given.shortcut }),
    };
    return {
      name: "fuzz",
      ...sizes,
      ...{ tokensQ, tokensK, agents: pool ? pool[0] * pool[1] : agents, options },
    };
  });

const fuzzCase = fc.record({
  problem: agentCase,
  placements: fc.tuple(...Array.from({ length: 4 }, () => placement)),
  dataSeed: integer(0, 10_000),
});

fuzz(
  "agent attention agrees with the reference",
  fuzzCase,
  { runs: 15, secondsPerRun: 6 },
  async (ctx, { problem, placements, dataSeed }) => {
    const { dtype, outDtype, agentDtype } = problem;
    const random = randomSource(dataSeed);
    const inputs = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
    const buffers: GPUBuffer[] = [];
    const place = (index: number, shape: Shape4, type: "f32" | "f16", data?: ArrayLike<number>) => {
      const layout = placedLayout(shape, type, placements[index % placements.length]!);
      const memory = data ? placedData(layout, data) : new Float32Array(placedSize(layout)).fill(Number.NaN);
      const { buffer } = ctx.fromArray(memory, [1, 1, 1, memory.length], type);
      buffers.push(buffer);
      return { ...layout, buffer };
    };
    const typeOf = (name: string) =>
      name === "agents" ? agentDtype : ["q", "k", "v"].includes(name) ? dtype : "f32";
    const views = Object.fromEntries(
      Object.entries(inputs).map(([name, { data, shape }], index) => [
        name,
        place(index, shape, typeOf(name), data),
      ]),
    ) as Record<"q" | "k" | "v", TensorView>;
    const out = place(3, shapesOf(problem).out, outDtype);
    try {
      const plan = await planAgentAttention(ctx, problemOf(problem, { ...views, out }));
      await ctx.submitChecked((encoder) => plan.record(encoder, { ...views, out }));
      plan.destroy();
      const halves = dtype === "f16" || outDtype === "f16";
      const tolerance = halves ? TOLERANCE_F16 : TOLERANCE_F32;
      await expectWritten(ctx, "out", out, expectedOutput(problem, inputs), tolerance);
    } finally {
      for (const buffer of buffers) buffer.destroy();
    }
  },
);
