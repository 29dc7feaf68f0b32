/** Which heads are taken where scores are equal, and where they are no numbers. */
import { beforeAll, describe, expect, test } from "vitest";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type Dense, makeCaseInputs, routerInputs } from "./case-inputs.js";
import { MIXTURE_CASES, type MixtureCase, TOLERANCE_F32 } from "./cases.js";
import { uploadCase } from "./check-case.js";
import { mixtureOfHeadAttention, routeHeads } from "./index.js";
import { headRouterReference } from "./reference.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const HEADS = 7;
const CHOICE = { heads: HEADS, sharedHeads: 1, topK: 3 };
const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape);

describe("of equal scores the lower head is taken", () => {
  const random = randomSource(7);
  const dense = (shape: Shape4, value: (i: number) => number): Dense => ({
    data: Float32Array.from({ length: elementCount(shape) }, (_, i) => value(i)),
    shape,
  });
  const noise = (shape: Shape4): Dense => ({ data: normalArray(elementCount(shape), random), shape });
  const x = noise([2, 11, 1, 12]);
  const balance = noise([1, 1, 12, 2]);
  const columns = noise([1, 1, 12, 2]).data;
  const routed: [string, Dense][] = [
    ["no weights", dense([1, 1, 12, 6], (i) => (i % 2 === 0 ? 0 : -0))],
    ["columns that repeat", dense([1, 1, 12, 6], (i) => columns[2 * Math.floor(i / 6) + (i % 2)]!)],
  ];

  test.each(routed)("the learned router, %s", async (_, matrix) => {
    const weights = { routed: matrix, balance };
    const { gates } = await routeHeads(
      ctx,
      upload(x),
      { routed: upload(matrix), balance: upload(balance) },
      CHOICE,
    );
    const found = await ctx.read(gates);
    const expected = headRouterReference({ ...CHOICE, x, weights }).gates;
    expect(difference(found, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    expect(Array.from(found, (gate) => gate !== 0)).toEqual(Array.from(expected, (gate) => gate !== 0));
  });

  test("the norm router, queries of one length", async () => {
    const q = dense([2, 11, HEADS, 5], () => (random() < 0.5 ? -1 : 1));
    const { gates } = await routeHeads(ctx, upload(q), {}, { ...CHOICE, router: "norm" });
    const taken = Array.from({ length: 2 * 11 }, () => [1, 1, 1, 1, 0, 0, 0]).flat();
    expect([...(await ctx.read(gates))]).toEqual(taken);
  });
});

describe("a token that is no number", () => {
  const find = (name: string) => MIXTURE_CASES.find((problem) => problem.name === name)!;
  const TOKEN = 2;

  test.each([
    ["two shared, two of six", Number.NaN],
    ["two shared, two of six", Number.POSITIVE_INFINITY],
    ["a few tokens, odd sizes", Number.NaN],
  ])("has NaN for its own output only, and as many heads as any other: %s, %f", async (name, value) => {
    const problem = find(name);
    const inputs = makeCaseInputs(problem);
    const { tokens, heads, sharedHeads, topK, outer, width } = problem;
    const clean = await outputOf(problem, inputs);
    inputs.x.data[TOKEN * width + 1] = value;
    const spoilt = await outputOf(problem, inputs);
    const own = (_: number, i: number) => Math.floor(i / outer) === TOKEN;
    expect(spoilt.filter(own).every(Number.isNaN)).toBe(true);
    expect(spoilt.map((out, i) => (own(0, i) ? 0 : out))).toEqual(
      clean.map((out, i) => (own(0, i) ? 0 : out)),
    );
    const { x, weights } = uploadCase(ctx, problem, inputs);
    const { out: _out, outBias: _outBias, ...router } = weights;
    const { lists } = await routeHeads(ctx, x, router, { heads, sharedHeads, topK });
    expect(await listed(lists, heads, tokens)).toBe(tokens * (sharedHeads + topK));
  });

  test("a query that is none is the longest for the norm router", async () => {
    const problem = find("norm router");
    const inputs = makeCaseInputs(problem);
    const { tokens, heads, sharedHeads, topK, headDim } = problem;
    const place = (TOKEN * heads + heads - 1) * headDim;
    inputs.q.data[place] = Number.NaN;
    const { lists, gates } = await routeHeads(
      ctx,
      upload(inputs.q),
      {},
      {
        ...{ heads, sharedHeads, topK },
        router: "norm",
      },
    );
    const found = await ctx.read(gates);
    expect(found[TOKEN * heads + heads - 1]).toBe(1);
    expect(await listed(lists, heads, tokens)).toBe(tokens * (sharedHeads + topK));
    const others = headRouterReference(routerInputs(problem, inputs)).gates.subarray(0, TOKEN * heads);
    expect([...found.subarray(0, TOKEN * heads)]).toEqual([...others]);
  });
});

async function outputOf(problem: MixtureCase, inputs: ReturnType<typeof makeCaseInputs>) {
  const { x, weights, q, k, v } = uploadCase(ctx, problem, inputs);
  const { sharedHeads, topK, router, options } = problem;
  const { out } = await mixtureOfHeadAttention(ctx, x, weights, {
    ...options,
    ...{ sharedHeads, topK, router, q, k, v },
  });
  return ctx.read(out);
}

/** Tokens of all heads' lists, of one batch entry. */
async function listed(lists: GPUBuffer, heads: number, tokens: number): Promise<number> {
  const words = new Uint32Array(
    (await ctx.read({ buffer: lists, dtype: "f32", shape: [1, heads, 1, 1 + tokens] })).buffer,
  );
  return Array.from({ length: heads }, (_, head) => words[head * (1 + tokens)]!).reduce((a, b) => a + b);
}
