import type { AttentionContext } from "../../src/dispatch/context.js";
import { elementCount } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type DenseData, makeCaseInputs, rounded, type SoftmaxCaseInputs } from "./case-inputs.js";
import { type SoftmaxCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { planSoftmaxAttention } from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

export interface CaseErrors {
  /** Relative to the largest reference value. */
  readonly out: number;
  readonly lse: number;
  readonly outTolerance: number;
  readonly lseTolerance: number;
}

/** Runs a case into outputs full of NaN and compares it with the float64 reference on inputs rounded to their storage. */
export async function checkCase(
  ctx: AttentionContext,
  problem: SoftmaxCase,
  configuration?: SoftmaxConfiguration,
): Promise<CaseErrors> {
  const random = randomSource(1);
  const made = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
  const { dtype, kvDtype } = problem;
  const inputs = { q: rounded(made.q, dtype), k: rounded(made.k, kvDtype), v: rounded(made.v, kvDtype) };
  const shape = shapesOf(problem).out;
  const [b, t, h] = shape;
  const nan = (count: number) => new Float32Array(count).fill(Number.NaN);
  const tensors = {
    q: ctx.fromArray(inputs.q.data, inputs.q.shape, dtype),
    k: ctx.fromArray(withHiddenNaN(inputs.k, made.options), inputs.k.shape, kvDtype),
    v: ctx.fromArray(withHiddenNaN(inputs.v, made.options), inputs.v.shape, kvDtype),
    ...(made.bias && { bias: ctx.fromArray(made.bias.data, made.bias.shape) }),
    out: ctx.fromArray(nan(elementCount(shape)), shape, dtype),
    lse: ctx.fromArray(nan(b * t * h), [b, t, h, 1]),
  };

  const plan = await planSoftmaxAttention(
    ctx,
    { ...made.options, ...tensors },
    { ...(configuration && { configuration }) },
  );
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  const expected = softmaxAttentionReference({
    ...inputs,
    ...made.options,
    ...(made.bias && { bias: made.bias }),
  });
  const errors = {
    out: difference(await ctx.read(tensors.out), expected.out).maxRelative,
    lse: difference(await ctx.read(tensors.lse), expected.lse).maxRelative,
    outTolerance: dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
    lseTolerance: TOLERANCE_F32,
  };
  plan.destroy();
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return errors;
}

/** Keys or values [B, Tk, Hkv, D] with NaN wherever no query may look: memory there may hold anything. */
export function withHiddenNaN(
  { data, shape: [batches, tokens, heads, dim] }: DenseData,
  { keyStarts, keyLengths, keyMask }: SoftmaxCaseInputs["options"],
): Float32Array<ArrayBuffer> {
  const poisoned = data.slice();
  for (let token = 0; token < batches * tokens; token++) {
    const [batch, key] = [Math.floor(token / tokens), token % tokens];
    const visible =
      key >= (keyStarts?.[batch] ?? 0) && key < (keyLengths?.[batch] ?? tokens) && (keyMask?.[token] ?? 1);
    if (!visible) poisoned.fill(Number.NaN, token * heads * dim, (token + 1) * heads * dim);
  }
  return poisoned;
}
