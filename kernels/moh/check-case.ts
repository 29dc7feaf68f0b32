import type { AttentionContext } from "../../src/dispatch/context.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import {
  type Dense,
  type MixtureInputs,
  makeCaseInputs,
  referenceInputs,
  storedMatrix,
} from "./case-inputs.js";
import { type MixtureCase, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { type MixtureOfHeadTensors, planMixtureOfHeadAttention } from "./index.js";
import { mixtureOfHeadReference } from "./reference.js";

export interface CaseErrors {
  readonly out: number;
  readonly gates: number;
  /** Tokens and heads whose gates are 0 in one and not in the other. */
  readonly wrongHeads: number;
  readonly loss: number;
  readonly tolerance: number;
}

/** Runs a case into outputs full of NaN and compares it with the float64 reference on inputs rounded to their storage. */
export async function checkCase(ctx: AttentionContext, problem: MixtureCase): Promise<CaseErrors> {
  const inputs = makeCaseInputs(problem);
  const tensors = uploadCase(ctx, problem, inputs);
  const { sharedHeads, topK, router, options } = problem;
  const { x, weights, q, k, v, out, gates, loss } = tensors;
  const given = { ...options, sharedHeads, topK, router, x, weights, q, k, v, out, gates, loss };
  const plan = await planMixtureOfHeadAttention(ctx, given);
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  plan.destroy();
  const expected = mixtureOfHeadReference(referenceInputs(problem, inputs));
  const found = await ctx.read(gates);
  const errors = {
    out: difference(await ctx.read(out), expected.out).maxRelative,
    gates: difference(found, expected.gates).maxRelative,
    wrongHeads: expected.gates.filter((gate, i) => (gate === 0) !== (found[i] === 0)).length,
    loss: loss ? difference(await ctx.read(loss), [expected.loss]).maxRelative : 0,
    tolerance: problem.outDtype === "f16" || problem.dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
  };
  for (const buffer of buffersOf(tensors)) buffer.destroy();
  return errors;
}

export type CaseTensors = MixtureOfHeadTensors & Record<"q" | "k" | "v" | "gates", TensorView>;

/** A case's tensors on the GPU; padding of k and v, and all outputs, are NaN. */
export function uploadCase(ctx: AttentionContext, problem: MixtureCase, inputs: MixtureInputs): CaseTensors {
  const { batches, tokens, heads, outer, dtype, outDtype, topK, router, innerFirst, options } = problem;
  const upload = ({ data, shape }: Dense) => ctx.fromArray(data, shape, dtype);
  const matrix = (tensor: Dense): TensorView => {
    const { layout, data } = storedMatrix(tensor, innerFirst);
    return { ...layout, buffer: ctx.fromArray(data, [1, 1, 1, data.length]).buffer };
  };
  const nan = (shape: Shape4, type: "f32" | "f16" = "f32") =>
    ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape, type);
  const { x, q, k, v, weights, weight, bias } = inputs;
  const hidden = (tensor: Dense) => upload({ ...tensor, data: withHiddenNaN(tensor, options.keyLengths) });
  const { routed, shared, balance } = weights;
  return {
    ...{ x: upload(x), q: upload(q), k: hidden(k), v: hidden(v) },
    weights: {
      ...(routed && { routed: matrix(routed) }),
      ...(shared && { shared: matrix(shared) }),
      ...(balance && { balance: matrix(balance) }),
      out: matrix(weight),
      ...(bias && { outBias: ctx.fromArray(bias.data, bias.shape) }),
    },
    out: nan([batches, tokens, 1, outer], outDtype),
    gates: nan([batches, tokens, heads, 1]),
    ...(router === "learned" && topK > 0 && { loss: nan([1, 1, 1, 1]) }),
  };
}

export function buffersOf({ weights, ...tensors }: MixtureOfHeadTensors): GPUBuffer[] {
  const views = [...Object.values(weights), ...Object.values(tensors)] as (TensorView | undefined)[];
  return views.flatMap((view) => (view ? [view.buffer] : []));
}

function withHiddenNaN(
  { data, shape }: Dense,
  lengths: readonly number[] | undefined,
): Float32Array<ArrayBuffer> {
  const poisoned = data.slice();
  const [, tokens, heads, dim] = shape;
  lengths?.forEach((length, batch) => {
    poisoned.fill(Number.NaN, (batch * tokens + length) * heads * dim, (batch + 1) * tokens * heads * dim);
  });
  return poisoned;
}
