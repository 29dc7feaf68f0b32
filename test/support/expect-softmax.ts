import { expect } from "vitest";
import type { SoftmaxPlan } from "../../kernels/softmax/index.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { runSoftmax, type SoftmaxRun } from "./softmax-run.js";

/** Expects of a problem what the float64 reference says. */
export async function expectSoftmax(
  ctx: AttentionContext,
  run: SoftmaxRun,
  look?: (plan: SoftmaxPlan) => void,
): Promise<void> {
  const { out, lse, outTolerance, lseTolerance } = await runSoftmax(ctx, run, look);
  expect(out).toBeLessThanOrEqual(outTolerance);
  expect(lse).toBeLessThanOrEqual(lseTolerance);
}
