import type { BindablePlan, PlanSegment } from "../../src/dispatch/compiled-plan.js";
import type { PassCost } from "../../src/dispatch/pass.js";

/** A plan that takes its tensors in another form. */
export function recordWith<Given, Tensors>(
  plan: BindablePlan<Tensors>,
  tensorsOf: (given: Given) => Tensors,
): BindablePlan<Given> {
  return {
    ...segmentWith(plan, tensorsOf),
    segments: plan.segments.map((segment) => segmentWith(segment, tensorsOf)),
    bind: (given) => plan.bind(tensorsOf(given)),
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

/** A plan of whose operations only a share is wanted, since what it reads at `record` makes it skip the rest; its `work` is a bound. */
export function withShare<Tensors>(plan: BindablePlan<Tensors>, share: number): BindablePlan<Tensors> {
  return {
    ...plan,
    ...shared(plan, share),
    segments: plan.segments.map((segment) => ({ ...segment, ...shared(segment, share) })),
  };
}

function shared({ passes, cost }: Pick<PlanSegment<never>, "passes" | "cost">, share: number) {
  const scaled = ({ flops, bytes }: PassCost): PassCost => ({ flops: share * flops, bytes });
  // Where a pass says nothing of its work, that is what its cost was.
  return {
    passes: passes.map((pass) => ({
      ...pass,
      cost: scaled(pass.cost),
      work: pass.work ?? pass.cost.flops,
    })),
    cost: scaled(cost),
  };
}
