import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
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
  const uniforms = (run: WorkgroupRun) => ({ params: problemUniforms(shape, capabilities, run) });
  return runPasses(pass, uniforms, capabilities, runs, bytes);
}
