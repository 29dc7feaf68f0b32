import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { compilePlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { asStored } from "../../../src/dispatch/float16.js";
import { elementCount, type Shape4 } from "../../../src/dispatch/tensor-view.js";
import { difference } from "../../../test/support/compare.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { type PrefixSoftmaxCase, TOLERANCE_F16, TOLERANCE_F32, TOLERANCE_LARGE_SCORES } from "./cases.js";
import { type PrefixSoftmaxPlan, type PrefixSoftmaxTensors, planPrefixSoftmaxAttention } from "./index.js";
import { planPrefixSoftmax } from "./plan.js";
import { checkPrefixSoftmax } from "./problem.js";
import { type DenseTensor, prefixSoftmaxReference } from "./reference.js";

export interface Dense extends DenseTensor {
  readonly data: Float32Array<ArrayBuffer>;
}

/** q, k and v of a case as their storage holds them. */
export function makeInputs(problem: PrefixSoftmaxCase, seed = 1): Record<"q" | "k" | "v", Dense> {
  const { batches, tokens, heads, kvHeads = heads, headDim, valueDim, dtype } = problem;
  const random = randomSource(seed);
  const make = (...shape: Shape4): Dense => ({
    data: asStored(normalArray(elementCount(shape), random), dtype),
    shape,
  });
  return {
    q: make(batches, tokens, heads, headDim),
    k: make(batches, tokens, kvHeads, headDim),
    v: make(batches, tokens, kvHeads, valueDim),
  };
}

/** Data with NaN in place of padding: memory there may hold anything. */
export function withHiddenNaN(
  { data, shape: [batches, tokens, heads, dim] }: Dense,
  lengths: readonly number[] | undefined,
): Float32Array<ArrayBuffer> {
  const poisoned = data.slice();
  for (let b = 0; b < batches; b++) {
    const from = b * tokens + (lengths?.[b] ?? tokens);
    poisoned.fill(Number.NaN, from * heads * dim, (b + 1) * tokens * heads * dim);
  }
  return poisoned;
}

/** A device other than the one at hand, whose plan is run nevertheless. */
export interface Pretended {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
}

/** Runs a case into an output full of NaN and compares it with the float64 reference on inputs rounded to their storage. */
export async function checkPrefixCase(
  ctx: AttentionContext,
  problem: PrefixSoftmaxCase,
  device?: Pretended,
): Promise<{ error: number; tolerance: number; passes: number }> {
  const { batches, tokens, heads, valueDim, dtype, outDtype = dtype } = problem;
  const { activation, scale, keyLengths } = problem;
  const options = {
    ...(activation && { activation }),
    ...(scale !== undefined && { scale }),
    ...(keyLengths && { keyLengths }),
  };
  const inputs = makeInputs(problem);
  const upload = (tensor: Dense) => ctx.fromArray(withHiddenNaN(tensor, keyLengths), tensor.shape, dtype);
  const shape: Shape4 = [batches, tokens, heads, valueDim];
  const tensors = {
    q: upload(inputs.q),
    k: upload(inputs.k),
    v: upload(inputs.v),
    out: ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape, outDtype),
  };
  const given = { ...options, ...tensors };
  const plan = await (device ? pretendedPlan(ctx, given, device) : planPrefixSoftmaxAttention(ctx, given));
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  const expected = prefixSoftmaxReference({ ...inputs, ...options });
  const error = difference(await ctx.read(tensors.out), expected).maxRelative;
  plan.destroy();
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  const tolerance = Math.abs(scale ?? 1) > 1 ? TOLERANCE_LARGE_SCORES : TOLERANCE_F32;
  const isHalf = dtype === "f16" || outDtype === "f16";
  return { error, tolerance: isHalf ? TOLERANCE_F16 : tolerance, passes: plan.passes.length };
}

function pretendedPlan(
  ctx: AttentionContext,
  problem: PrefixSoftmaxTensors & { readonly keyLengths?: readonly number[] },
  { capabilities, maxDispatchFlops }: Pretended,
): Promise<PrefixSoftmaxPlan> {
  const shape = checkPrefixSoftmax(problem, ctx.capabilities);
  const { q, k, v, out, batches, tokens } = shape;
  const values = Uint32Array.from({ length: batches }, (_, b) => problem.keyLengths?.[b] ?? tokens);
  return compilePlan<PrefixSoftmaxTensors>(ctx, {
    passes: planPrefixSoftmax(shape, capabilities, maxDispatchFlops),
    specs: { q: { layout: q }, k: { layout: k }, v: { layout: v }, out: { layout: out, output: true } },
    tables: { lengths: { values } },
    segmentFlops: maxDispatchFlops,
  });
}
