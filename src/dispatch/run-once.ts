import type { CompiledPlan } from "./compiled-plan.js";
import type { AttentionContext } from "./context.js";
import type { TensorLayout, TensorView } from "./tensor-view.js";

/** Makes a dense tensor of zeros with the shape and type of a layout. */
export type Allocate = (layout: Pick<TensorLayout, "shape" | "dtype">) => TensorView;

/**
 * Records a plan, submits it and destroys it: what a one-shot call does. What was allocated on the way is the caller's, or freed
 * when the call fails.
 *
 * @param prepare gives the tensors to record, and what the call returns
 */
export async function runOnce<Tensors extends object, Result>(
  ctx: AttentionContext,
  plan: CompiledPlan<Tensors>,
  prepare: (allocate: Allocate) => { readonly tensors: Tensors; readonly result: Result },
): Promise<Result> {
  const created: TensorView[] = [];
  try {
    const { tensors, result } = prepare(({ shape, dtype }) => {
      const view = ctx.empty(shape, dtype);
      created.push(view);
      return view;
    });
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    return result;
  } catch (error) {
    for (const { buffer } of created) buffer.destroy();
    throw error;
  } finally {
    plan.destroy();
  }
}
