import { expect, test } from "vitest";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { linearAttention, planLinearAttention } from "./index.js";
import type { LinearForwardOptions, LinearState } from "./options.js";
import { linearAttentionReference } from "./reference.js";

const [B, N, H, D, E] = [2, 150, 2, 8, 12] as const;

/** Chunks of random lengths, single tokens among them. */
function randomCuts(random: () => number): number[] {
  const lengths: number[] = [];
  let left = N;
  while (left > 0) {
    const length = Math.min(left, random() < 0.4 ? 1 : 1 + Math.floor(random() ** 2 * 100));
    lengths.push(length);
    left -= length;
  }
  return lengths;
}

test.each([
  ["with decay", 1, { decay: [0.02, 0.3] }],
  ["without", 2, {}],
  ["normalised", 3, { featureMap: "elu+1", normalize: true, decay: [0.01, 0], scale: 0.3 }],
] as const)(
  "chunks of any size in turn equal one pass: %s",
  async (_name, seed, options: LinearForwardOptions) => {
    const ctx = await testContext();
    const random = randomSource(seed);
    const make = (dim: number) => ({
      data: normalArray(B * N * H * dim, random),
      shape: [B, N, H, dim] as const,
    });
    const [q, k, v] = [make(D), make(D), make(E)];
    const expected = linearAttentionReference({ q, k, v, ...options });
    const whole = [q, k, v].map(({ data, shape }) => ctx.fromArray(data, shape));
    for (let round = 0; round < 2; round++) {
      const out = ctx.fromArray(new Float32Array(B * N * H * E).fill(Number.NaN), [B, N, H, E]);
      let state: LinearState<TensorView> | undefined;
      let first = 0;
      for (const length of randomCuts(random)) {
        const part = (view: TensorView): TensorView => {
          const [, , , dim] = view.shape;
          const strides = [N * H * dim, H * dim, dim, 1] as const;
          return { ...view, shape: [B, length, H, dim], strides, offset: first * H * dim };
        };
        const [qPart, kPart, vPart] = whole.map(part);
        const given = { ...options, ...(state && { state }), stateOut: true, out: part(out) };
        ({ stateOut: state } = await linearAttention(ctx, qPart!, kPart!, vPart!, given));
        first += length;
      }
      expect(difference(await ctx.read(out), expected.out).maxRelative).toBeLessThanOrEqual(1e-5);
      expect(difference(await ctx.read(state!.s), expected.s).maxRelative).toBeLessThanOrEqual(1e-5);
      if (options.normalize)
        expect(difference(await ctx.read(state!.z!), expected.z).maxRelative).toBeLessThanOrEqual(1e-5);
    }
  },
);

test("a step is one dispatch for all heads, whose plan takes two states in turn", async () => {
  const ctx = await testContext();
  const random = randomSource(9);
  const steps = 5;
  const make = (dim: number) => normalArray(steps * H * dim, random);
  const [q, k, v] = [make(D), make(D), make(E)];
  const step = (data: Float32Array, t: number, dim: number) =>
    ctx.fromArray(data.subarray(t * H * dim, (t + 1) * H * dim), [1, 1, H, dim]);
  const states = [0, 1].map(() => ({ s: ctx.fromArray(new Float32Array(H * D * E), [1, H, D, E]) }));
  const out = ctx.empty([1, 1, H, E]);
  const first = { q: step(q, 0, D), k: step(k, 0, D), v: step(v, 0, E), out };
  const plan = await planLinearAttention(ctx, {
    ...first,
    decay: [0.1, 0.2],
    state: states[0]!,
    stateOut: states[1]!,
  });
  expect(plan.passes).toHaveLength(1);
  const shape = (dim: number) => [1, steps, H, dim] as const;
  const expected = linearAttentionReference({
    q: { data: q, shape: shape(D) },
    k: { data: k, shape: shape(D) },
    v: { data: v, shape: shape(E) },
    decay: [0.1, 0.2],
  });
  for (let t = 0; t < steps; t++) {
    const tensors = { q: step(q, t, D), k: step(k, t, D), v: step(v, t, E), out };
    await ctx.submitChecked((encoder) =>
      plan.record(encoder, { ...tensors, state: states[t % 2]!, stateOut: states[(t + 1) % 2]! }),
    );
    const wanted = expected.out.subarray(t * H * E, (t + 1) * H * E);
    expect(difference(await ctx.read(out), wanted).maxRelative).toBeLessThanOrEqual(1e-5);
  }
  plan.destroy();
});
