import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { asStored } from "../../src/dispatch/float16.js";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type FlowCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32, TOLERANCE_LARGE_SCORES } from "./cases.js";
import { type FlowPlan, type FlowTensors, planFlowAttention } from "./index.js";
import { lengthsTable } from "./lengths.js";
import { planFlow } from "./plan.js";
import { checkProblem, type FlowProblem } from "./problem.js";
import { type DenseTensor, flowAttentionReference } from "./reference.js";

interface Dense extends DenseTensor {
  readonly data: Float32Array<ArrayBuffer>;
}

/** q, k and v of a case as their storage holds them. */
export function makeCaseInputs(problem: FlowCase, seed = 1): Record<"q" | "k" | "v", Dense> {
  const { dtype, heads, headDim, spread = 1, mean = 0, loudEvery } = problem;
  const random = randomSource(seed);
  const make = (shape: Shape4, factor: number, offset: number): Dense => {
    const data = normalArray(elementCount(shape), random).map((value) => value * factor + offset);
    return { data: asStored(data, dtype), shape };
  };
  const { q, k, v } = shapesOf(problem);
  const made = { q: make(q, spread, mean), k: make(k, spread, mean), v: make(v, 1, 0) };
  if (!loudEvery) return made;
  // The last of each run of so many, so that a causal sequence starts with quiet keys.
  const isLoud = (element: number) => Math.floor(element / (heads * headDim)) % loudEvery === loudEvery - 1;
  const data = made.k.data.map((value, element) => (isLoud(element) ? value + 12 : value));
  return { ...made, k: { data: asStored(data, dtype), shape: k } };
}

/** A tensor's data with NaN in place of padding: memory there may hold anything. */
export function withHiddenNaN(
  { data, shape: [batches, tokens, heads, dim] }: Dense,
  lengths: readonly number[] | undefined,
): Float32Array<ArrayBuffer> {
  const poisoned = data.slice();
  for (let batch = 0; batch < batches; batch++) {
    const from = batch * tokens + (lengths?.[batch] ?? tokens);
    poisoned.fill(Number.NaN, from * heads * dim, (batch + 1) * tokens * heads * dim);
  }
  return poisoned;
}

/** Lengths of queries and keys: causal tokens have both in common. */
export function lengthsOf({ options }: FlowCase) {
  const { causal, queryLengths, keyLengths } = options;
  return {
    queryLengths: queryLengths ?? (causal ? keyLengths : undefined),
    keyLengths: keyLengths ?? (causal ? queryLengths : undefined),
  };
}

/** A device other than the one at hand, whose plan is run nevertheless. */
export interface Pretended {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
}

function pretendedPlan(ctx: AttentionContext, problem: FlowProblem, device: Pretended): Promise<FlowPlan> {
  const shape = checkProblem(problem, ctx.capabilities);
  const { q, k, v, out } = shape;
  return compilePlan<FlowTensors>(ctx, {
    passes: planFlow(shape, device.capabilities, device),
    specs: { q: { layout: q }, k: { layout: k }, v: { layout: v }, out: { layout: out, output: true } },
    tables: { lengths: lengthsTable(shape, problem) },
    segmentFlops: device.maxDispatchFlops,
  });
}

/** Runs a case into an output full of NaN and compares it with the float64 reference on inputs rounded to their storage. */
export async function checkCase(
  ctx: AttentionContext,
  problem: FlowCase,
  device?: Pretended,
): Promise<{ error: number; tolerance: number; passes: number }> {
  const { dtype, outDtype, options } = problem;
  const inputs = makeCaseInputs(problem);
  const { queryLengths, keyLengths } = lengthsOf(problem);
  const shape = shapesOf(problem).out;
  const tensors = {
    q: ctx.fromArray(withHiddenNaN(inputs.q, queryLengths), inputs.q.shape, dtype),
    k: ctx.fromArray(withHiddenNaN(inputs.k, keyLengths), inputs.k.shape, dtype),
    v: ctx.fromArray(withHiddenNaN(inputs.v, keyLengths), inputs.v.shape, dtype),
    out: ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape, outDtype),
  };
  const given = { ...options, ...tensors };
  const plan = device ? await pretendedPlan(ctx, given, device) : await planFlowAttention(ctx, given);
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  const expected = flowAttentionReference({ ...inputs, ...options, queryLengths, keyLengths });
  const error = difference(await ctx.read(tensors.out), expected).maxRelative;
  plan.destroy();
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  const tolerance = problem.loudEvery ? TOLERANCE_LARGE_SCORES : TOLERANCE_F32;
  return { error, tolerance: outDtype === "f16" ? TOLERANCE_F16 : tolerance, passes: plan.passes.length };
}
