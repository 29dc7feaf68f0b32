import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { problemUniforms } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";

/** One pass for each run of workgroups. `bytes` is what all of them read and write together. */
export function dispatches(
  pass: Omit<Pass, "workgroups" | "uniforms" | "cost" | "work">,
  shape: SoftmaxShape,
  capabilities: Capabilities,
  runs: readonly WorkgroupRun[],
  bytes: number,
): Pass[] {
  const groups = runs.reduce((sum, { count }) => sum + count, 0);
  return runs.map((run) => ({
    ...pass,
    workgroups: spreadWorkgroups(run.count, capabilities.limits.maxComputeWorkgroupsPerDimension),
    uniforms: { params: problemUniforms(shape, capabilities, run) },
    cost: { flops: run.flops, bytes: (bytes * run.count) / groups },
    work: run.work,
  }));
}
