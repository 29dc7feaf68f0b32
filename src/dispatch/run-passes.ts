import type { Capabilities } from "./capabilities.js";
import type { WorkgroupRun } from "./cut-workgroups.js";
import { type Pass, spreadWorkgroups } from "./pass.js";

/**
 * One pass for each run of workgroups.
 *
 * @param uniforms of a run, by the name of their binding
 * @param bytes what all runs read and write together
 */
export function runPasses(
  pass: Omit<Pass, "workgroups" | "uniforms" | "cost" | "work">,
  uniforms: (run: WorkgroupRun) => Pass["uniforms"],
  { limits }: Capabilities,
  runs: readonly WorkgroupRun[],
  bytes: number,
): Pass[] {
  const groups = runs.reduce((sum, { count }) => sum + count, 0);
  return runs.map((run) => ({
    ...pass,
    workgroups: spreadWorkgroups(run.count, limits.maxComputeWorkgroupsPerDimension),
    uniforms: uniforms(run),
    cost: { flops: run.flops, bytes: (bytes * run.count) / groups },
    work: run.work,
  }));
}
