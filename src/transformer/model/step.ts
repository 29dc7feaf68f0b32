import type { Bindable, BoundPlan, PassCost } from "webgpu-attention";
import type { SequenceState } from "./sequence-state.js";

/** What plans of this package have in common; those of dispatches alone may have their tensors bound. */
interface Recordable<Tensors> extends Partial<Bindable<Tensors>> {
  readonly passes: readonly unknown[];
  readonly cost: PassCost;
  record(encoder: GPUCommandEncoder, tensors: Tensors): void;
  destroy(): void;
}

/** One part of a forward pass: a plan with its tensors. What a sequence keeps between passes comes with each run. */
export interface Step {
  /** Dispatches. */
  readonly dispatches: number;
  readonly cost: PassCost;
  /** Of a step that is dispatches alone. */
  readonly bind?: (state: SequenceState | undefined) => BoundPlan;
  record(encoder: GPUCommandEncoder, state: SequenceState | undefined): void;
  destroy(): void;
}

/** @param tensors the same every time, or those of the sequences of this run */
export function stepOf<Tensors extends object>(
  plan: Recordable<Tensors>,
  tensors: Tensors | ((state: SequenceState | undefined) => Tensors),
): Step {
  const of = typeof tensors === "function" ? tensors : () => tensors;
  const { bind } = plan;
  return {
    dispatches: plan.passes.length,
    cost: plan.cost,
    ...(bind && { bind: (state: SequenceState | undefined) => bind(of(state)) }),
    record: (encoder, state) => plan.record(encoder, of(state)),
    destroy: () => plan.destroy(),
  };
}

/** What has no dispatch of its own: a copy, a hook. */
export function recordStep(record: Step["record"]): Step {
  return { dispatches: 0, cost: { flops: 0, bytes: 0 }, record, destroy() {} };
}

/** Steps, and groups of them, that compile side by side, in their order; all of them or none. */
export async function planSteps(planned: readonly Promise<Step | readonly Step[]>[]): Promise<Step[]> {
  const settled = await Promise.allSettled(planned);
  const steps = settled.flatMap((step) => (step.status === "fulfilled" ? step.value : []));
  const failed = settled.find((step) => step.status === "rejected");
  if (!failed) return steps;
  for (const step of steps) step.destroy();
  throw failed.reason;
}
