import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { planCausal, planStep } from "./causal.js";
import type { FlowShape } from "./problem.js";
import { planWhole } from "./whole.js";

/** What a plan may choose by, besides the problem and the device. */
export interface PlanOptions {
  /** Operations that one dispatch may hold; default no bound. */
  readonly maxDispatchFlops?: number;
}

/** Chooses passes, variants and constants for a checked problem. Pure: the same problem gives the same passes. */
export function planFlow(shape: FlowShape, capabilities: Capabilities, options: PlanOptions = {}): Pass[] {
  const { maxDispatchFlops = Number.POSITIVE_INFINITY } = options;
  const device = { capabilities, maxDispatchFlops };
  if (!shape.causal) return planWhole(shape, device);
  return shape.tokensQ === 1 ? planStep(shape, device) : planCausal(shape, device);
}
