import type { AttentionContext, TensorLayout, TensorView } from "webgpu-attention";
import { byHeadLayout, type CompiledPlan } from "webgpu-attention/calibration";

/** What an attention writes. */
export interface AttentionOutputs {
  readonly out: TensorView;
  readonly lse?: TensorView;
}

/**
 * Records a plan once, submits it and destroys it. New tensors are the caller's, or freed when it fails.
 *
 * @param layout of a new `out`
 * @param given where to write instead; `lse: true` for a new one
 * @param tensorsOf what the plan records, beside the outputs
 */
export async function attendOnce<Tensors extends object>(
  ctx: AttentionContext,
  plan: CompiledPlan<Tensors>,
  layout: Pick<TensorLayout, "shape" | "dtype">,
  given: { readonly out?: TensorView | undefined; readonly lse?: TensorView | boolean | undefined },
  tensorsOf: (outputs: AttentionOutputs) => Tensors,
): Promise<AttentionOutputs> {
  const created: TensorView[] = [];
  const make = ({ shape, dtype }: typeof layout): TensorView => {
    const view = ctx.empty(shape, dtype);
    created.push(view);
    return view;
  };
  const [batches, tokens, heads] = layout.shape;
  try {
    const out = given.out ?? make(layout);
    const lse =
      given.lse === true
        ? {
            ...byHeadLayout(batches, tokens, heads),
            buffer: make({ shape: [batches, tokens, heads, 1], dtype: "f32" }).buffer,
          }
        : given.lse || undefined;
    const outputs = { out, ...(lse && { lse }) };
    await ctx.submitChecked((encoder) => plan.record(encoder, tensorsOf(outputs)));
    return outputs;
  } catch (error) {
    for (const { buffer } of created) buffer.destroy();
    throw error;
  } finally {
    plan.destroy();
  }
}
