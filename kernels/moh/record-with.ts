import type { CompiledPlan, PlanSegment } from "../../src/dispatch/compiled-plan.js";

/** A plan that takes its tensors in another form. */
export function recordWith<Given, Tensors>(
  plan: CompiledPlan<Tensors>,
  tensorsOf: (given: Given) => Tensors,
): CompiledPlan<Given> {
  return {
    ...segmentWith(plan, tensorsOf),
    segments: plan.segments.map((segment) => segmentWith(segment, tensorsOf)),
    destroy: () => plan.destroy(),
  };
}

/** The same for a part of a plan. */
export function segmentWith<Given, Tensors>(
  { passes, cost, record }: PlanSegment<Tensors>,
  tensorsOf: (given: Given) => Tensors,
): PlanSegment<Given> {
  return {
    passes,
    cost,
    record: (encoder, given, options) => record(encoder, tensorsOf(given), options),
  };
}
