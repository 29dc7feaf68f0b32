import { describe, expect, test } from "vitest";
import type { Shape4, TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { makeLinearInputs } from "./case-inputs.js";
import { LINEAR_CASES, type LinearCase, TOLERANCE_F16 } from "./cases.js";
import { linearAttention, linearAttentionBackward, planLinearAttentionBackward } from "./index.js";
import { linearAttentionGradientReference } from "./reference.js";

/** Sums over three products of f32. */
const TOLERANCE = 2e-5;

async function checkGradients(problem: LinearCase): Promise<void> {
  const ctx = await testContext();
  const random = randomSource(3);
  const normal = () => normalArray(1, random)[0]!;
  const { q, k, v, options, state } = makeLinearInputs(problem, normal);
  const { batches, heads, headDim, valueDim, causal = true, dtype } = problem;
  const dOut = makeLinearInputs({ ...problem, headDim: valueDim }, normal).q;
  const dStateOut = Float32Array.from({ length: batches * heads * headDim * valueDim }, normal);
  const sShape: Shape4 = [batches, heads, headDim, valueDim];
  const created: TensorView[] = [];
  const keep = (view: TensorView) => {
    created.push(view);
    return view;
  };
  const upload = (data: ArrayLike<number>, shape: Shape4, type: "f32" | "f16" = "f32") =>
    keep(ctx.fromArray(data, shape, type));
  const nan = (shape: Shape4) =>
    upload(new Float32Array(shape.reduce((a, b) => a * b)).fill(Number.NaN), shape);
  const gradients = await linearAttentionBackward(
    ctx,
    upload(q.data, q.shape, dtype),
    upload(k.data, k.shape, dtype),
    upload(v.data, v.shape, dtype),
    upload(dOut.data, dOut.shape, dtype),
    {
      ...options,
      dq: nan(q.shape),
      dk: nan(k.shape),
      dv: nan(v.shape),
      ...(state && { state: upload(state.s, sShape) }),
      ...(causal && { dStateOut: upload(dStateOut, sShape), dState: nan(sShape) }),
    },
  );
  const expected = linearAttentionGradientReference({
    q,
    k,
    v,
    dOut,
    ...options,
    ...(state && { state }),
    ...(causal && { dState: dStateOut }),
  });
  const tolerance = dtype === "f16" ? TOLERANCE_F16 : TOLERANCE;
  const compared = [
    ["dq", gradients.dq, expected.dq],
    ["dk", gradients.dk, expected.dk],
    ["dv", gradients.dv, expected.dv],
    ...(gradients.dState ? [["dState", gradients.dState, expected.ds] as const] : []),
  ] as const;
  for (const [name, view, values] of compared)
    expect(difference(await ctx.read(view), values).maxRelative, name).toBeLessThanOrEqual(tolerance);
  for (const { buffer } of created) buffer.destroy();
}

describe("gradients agree with float64 differentiation", () => {
  const names = [
    "many blocks, batches and heads",
    "steep decay",
    "wide values, narrow keys",
    "odd widths",
    "state, steep decay",
    "scale",
    "silu",
    "one token",
    "all to all",
    "f16, odd widths",
  ];
  test.each(LINEAR_CASES.filter(({ name }) => names.includes(name)))("$name", checkGradients);
});

test("normalised attention has no backward pass, and says so", async () => {
  const ctx = await testContext();
  const layout = { dtype: "f32", shape: [1, 4, 1, 4] } as const;
  const problem = { q: layout, k: layout, v: layout, dOut: layout, normalize: true };
  await expect(planLinearAttentionBackward(ctx, problem)).rejects.toMatchObject({ code: "unsupported" });
});

test("a layer learns: its values are fitted to a target, and the loss falls", async () => {
  const ctx = await testContext();
  const random = randomSource(5);
  const [tokens, heads, dim] = [24, 2, 8] as const;
  const shape: Shape4 = [1, tokens, heads, dim];
  const count = tokens * heads * dim;
  const parameters = {
    q: normalArray(count, random),
    k: normalArray(count, random).map((value) => value / 3),
    v: normalArray(count, random),
  };
  const target = normalArray(count, random);
  const options = { decay: [0.2, 0.05], featureMap: "silu" } as const;
  const losses: number[] = [];
  for (let step = 0; step < 40; step++) {
    const q = ctx.fromArray(parameters.q, shape);
    const k = ctx.fromArray(parameters.k, shape);
    const v = ctx.fromArray(parameters.v, shape);
    const { out } = await linearAttention(ctx, q, k, v, options);
    const error = (await ctx.read(out)).map((value, i) => value - target[i]!);
    losses.push(error.reduce((sum, value) => sum + value * value, 0) / count);
    const dOut = ctx.fromArray(error, shape);
    const gradients = await linearAttentionBackward(ctx, q, k, v, dOut, options);
    for (const [name, view] of [
      ["q", gradients.dq],
      ["k", gradients.dk],
      ["v", gradients.dv],
    ] as const) {
      const gradient = await ctx.read(view);
      gradient.forEach((value, i) => {
        parameters[name][i]! -= 0.04 * value;
      });
    }
    for (const { buffer } of [q, k, v, out, dOut, gradients.dq, gradients.dk, gradients.dv]) buffer.destroy();
  }
  expect(losses.every((loss, step) => step === 0 || loss < losses[step - 1]!)).toBe(true);
  expect(losses.at(-1)).toBeLessThan(0.2 * losses[0]!);
});
