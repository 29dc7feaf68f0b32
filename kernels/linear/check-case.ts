import { CompiledPasses } from "../../src/dispatch/compiled-passes.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { bindTensors } from "../../src/dispatch/tensor-set.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { makeLinearInputs } from "./case-inputs.js";
import { type LinearCase, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { type LinearCore, powersTable } from "./core.js";
import { forwardCore, planLinearAttention } from "./index.js";
import { checkLinear } from "./problem.js";
import { linearAttentionReference } from "./reference.js";

export interface LinearCaseErrors {
  /** Relative to the largest reference value. */
  readonly out: number;
  readonly outTolerance: number;
  readonly s?: number;
  readonly z?: number;
}

/**
 * Runs a case into outputs full of NaN and compares it with the float64 reference on inputs rounded to their storage.
 *
 * @param passesOf passes to run instead of those of the plan
 */
export async function checkLinearCase(
  ctx: AttentionContext,
  problem: LinearCase,
  passesOf?: (core: LinearCore) => Pass[],
): Promise<LinearCaseErrors> {
  const random = randomSource(7);
  const { q, k, v, options, state } = makeLinearInputs(problem, () => normalArray(1, random)[0]!);
  const {
    batches,
    tokens,
    heads,
    headDim,
    valueDim,
    dtype,
    outDtype = dtype,
    causal = true,
    normalize,
  } = problem;
  const created: TensorView[] = [];
  const upload = (data: ArrayLike<number>, shape: Shape4, type: "f32" | "f16" = "f32"): TensorView => {
    const view = ctx.fromArray(data, shape, type);
    created.push(view);
    return view;
  };
  const nan = (shape: Shape4, type: "f32" | "f16" = "f32") =>
    upload(new Float32Array(elementCount(shape)).fill(Number.NaN), shape, type);
  const sShape: Shape4 = [batches, heads, headDim, valueDim];
  const zShape: Shape4 = [batches, heads, headDim, 1];
  const tensors = {
    q: upload(q.data, q.shape, dtype),
    k: upload(k.data, k.shape, dtype),
    v: upload(v.data, v.shape, dtype),
    out: nan([batches, tokens, heads, valueDim], outDtype),
    ...(state && { state: { s: upload(state.s, sShape), ...(state.z && { z: upload(state.z, zShape) }) } }),
    ...(causal && { stateOut: { s: nan(sShape), ...(normalize && { z: nan(zShape) }) } }),
  };
  const given = { ...options, ...tensors };
  if (passesOf) {
    const shape = checkLinear(given, ctx.capabilities);
    const tables = { powers: { values: powersTable(shape.decay) } };
    const compiled = await CompiledPasses.compile(ctx, passesOf(forwardCore(shape)), tables);
    const { state: entering, stateOut, ...flat } = tensors;
    const views: Record<string, TensorView | undefined> = {
      ...flat,
      "state.s": entering?.s,
      "state.z": entering?.z,
      "stateOut.s": stateOut?.s,
      "stateOut.z": stateOut?.z,
    };
    const known = Object.fromEntries(Object.entries(views).filter(([, view]) => view)) as Record<
      string,
      TensorView
    >;
    const specs = Object.fromEntries(Object.entries(known).map(([name, layout]) => [name, { layout }]));
    await ctx.submitChecked((encoder) =>
      compiled.encode(encoder, bindTensors(specs, known, ctx.capabilities)),
    );
    compiled.destroy();
  } else {
    const plan = await planLinearAttention(ctx, given);
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
  }

  const expected = linearAttentionReference({ q, k, v, ...options, ...(state && { state }) });
  const errorOf = async (view: TensorView, values: Float64Array) =>
    difference(await ctx.read(view), values).maxRelative;
  const { stateOut } = tensors;
  const errors = {
    out: await errorOf(tensors.out, expected.out),
    outTolerance: dtype === "f16" || outDtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
    ...(stateOut && { s: await errorOf(stateOut.s, expected.s) }),
    ...(stateOut?.z && { z: await errorOf(stateOut.z, expected.z) }),
  };
  for (const { buffer } of created) buffer.destroy();
  return errors;
}
