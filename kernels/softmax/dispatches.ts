import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutGroups } from "../../src/dispatch/dispatch-budget.js";
import { type Pass, type PassCost, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { problemUniforms } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";

/** One pass, or as many as keep each dispatch within the bound. */
export function dispatches(
  pass: Omit<Pass, "workgroups" | "uniforms" | "cost">,
  shape: SoftmaxShape,
  capabilities: Capabilities,
  work: { groups: number; cost: PassCost; groupFlops: number; maxDispatchFlops: number },
): Pass[] {
  const { groups, cost, groupFlops, maxDispatchFlops } = work;
  return cutGroups(groups, groupFlops, maxDispatchFlops).map((part) => ({
    ...pass,
    workgroups: spreadWorkgroups(part.count, capabilities.limits.maxComputeWorkgroupsPerDimension),
    uniforms: { params: problemUniforms(shape, capabilities, part) },
    cost: { flops: (cost.flops * part.count) / groups, bytes: (cost.bytes * part.count) / groups },
  }));
}
