/** The parts by themselves: the router with its lists, and the projection of rows of which those that are not active are NaN. */
import { expect, test } from "vitest";
import { elementCount } from "../../src/dispatch/tensor-view.js";
import type { AttentionContext } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { softmaxAttentionReference } from "../softmax/reference.js";
import { makeCaseInputs, routerInputs } from "./case-inputs.js";
import { MIXTURE_CASES, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { buffersOf, uploadCase } from "./check-case.js";
import { projectHeads, routeHeads } from "./index.js";
import { headRouterReference, projectionReference } from "./reference.js";

async function words(ctx: AttentionContext, buffer: GPUBuffer): Promise<Uint32Array> {
  const read = await ctx.read({ buffer, dtype: "f32", shape: [1, 1, 1, buffer.size / 4] });
  return new Uint32Array(read.buffer);
}

/** What the attention inside has to do with, the whole is tested for. */
const CHOSEN = MIXTURE_CASES.filter(({ options, kvHeads, heads }) => {
  const plain = !options.keyLengths && !options.window;
  return plain && kvHeads === heads;
});

test.each(CHOSEN)(
  "the router lists the tokens of each head, and they are projected: $name",
  async (problem) => {
    const ctx = await testContext();
    const { batches, tokens, heads, valueDim, sharedHeads, topK, router, dtype, outDtype } = problem;
    const inputs = makeCaseInputs(problem);
    const tensors = uploadCase(ctx, problem, inputs);
    const { weights, q, x, out } = tensors;
    const { out: weight, outBias, ...routerWeights } = weights;
    const expected = headRouterReference(routerInputs(problem, inputs));
    const options = { heads, sharedHeads, topK, router };
    const routed = await routeHeads(ctx, router === "norm" ? q : x, routerWeights, {
      ...options,
      ...(expected.scores.length > 0 && { scores: true }),
      ...(tensors.loss && { loss: true }),
    });
    const gates = await ctx.read(routed.gates);
    expect(difference(gates, expected.gates).maxRelative).toBeLessThanOrEqual(TOLERANCE_F32);
    if (routed.scores)
      expect(difference(await ctx.read(routed.scores), expected.scores).maxRelative).toBeLessThanOrEqual(
        TOLERANCE_F32,
      );
    if (routed.loss)
      expect(difference(await ctx.read(routed.loss), [expected.loss]).maxRelative).toBeLessThanOrEqual(
        TOLERANCE_F32,
      );

    const lists = await words(ctx, routed.lists);
    for (let b = 0; b < batches; b++) {
      for (let h = 0; h < heads; h++) {
        const active = Array.from({ length: tokens }, (_, t) => t).filter((t) => {
          return expected.gates[(b * tokens + t) * heads + h] !== 0;
        });
        const own = lists.subarray((b * heads + h) * (1 + tokens), (b * heads + h + 1) * (1 + tokens));
        expect([...own.subarray(0, 1 + active.length)]).toEqual([active.length, ...active]);
      }
    }

    const { k, v } = inputs;
    const attended = softmaxAttentionReference({ q: inputs.q, k, v, ...problem.options }).out;
    const rows = Float32Array.from(attended, (value, i) =>
      gates[Math.floor(i / valueDim)] === 0 ? Number.NaN : value,
    );
    const shape = [batches, tokens, heads, valueDim] as const;
    const onGpu = ctx.fromArray(rows, shape, dtype);
    const stored = await ctx.read(onGpu);
    await projectHeads(ctx, onGpu, routed.gates, weight, {
      ...{ sharedHeads, topK, lists: routed.lists, out },
      ...(outBias && { bias: outBias }),
    });
    expect(elementCount(shape)).toBe(stored.length);
    const core = Float64Array.from(stored, (value, i) => {
      const gate = gates[Math.floor(i / valueDim)]!;
      return gate === 0 ? 0 : gate * value;
    });
    const projected = projectionReference(core, heads * valueDim, inputs.weight, inputs.bias?.data);
    const tolerance = outDtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32;
    expect(difference(await ctx.read(out), projected).maxRelative).toBeLessThanOrEqual(tolerance);
    for (const buffer of [...buffersOf(tensors), onGpu.buffer, routed.lists, routed.gates.buffer])
      buffer.destroy();
  },
);

test("a gate of 0 hides its row where it is not said how many heads are active", async () => {
  const ctx = await testContext();
  const [tokens, heads, dim] = [40, 4, 16];
  const gates = Float32Array.from({ length: tokens * heads }, (_, i) => (i % 3 === 0 ? 0 : 1));
  const rows = Float32Array.from({ length: tokens * heads * dim }, (_, i) =>
    gates[Math.floor(i / dim)] === 0 ? Number.NaN : 1,
  );
  const weight = ctx.fromArray(new Float32Array(heads * dim * 32).fill(1), [1, 1, heads * dim, 32]);
  const attended = ctx.fromArray(rows, [1, tokens, heads, dim]);
  const out = await projectHeads(ctx, attended, ctx.fromArray(gates, [1, tokens, heads, 1]), weight);
  const active = (token: number) =>
    gates.subarray(heads * token, heads * (token + 1)).reduce((sum, gate) => sum + gate, 0);
  const expected = Array.from({ length: tokens * 32 }, (_, i) => dim * active(Math.floor(i / 32)));
  expect([...(await ctx.read(out))]).toEqual(expected);
});
