import type { CompiledPlan } from "webgpu-attention/calibration";

/** Dispatches and cost of plans that are recorded one after another, as those of one plan. */
export function planTotals(
  stages: readonly { readonly plan: Pick<CompiledPlan<object>, "passes" | "cost"> }[],
): Pick<CompiledPlan<object>, "passes" | "cost"> {
  return {
    passes: stages.flatMap(({ plan }) => plan.passes),
    cost: stages.reduce(
      (sum, { plan: { cost } }) => ({ flops: sum.flops + cost.flops, bytes: sum.bytes + cost.bytes }),
      { flops: 0, bytes: 0 },
    ),
  };
}
