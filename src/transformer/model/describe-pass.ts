import { AttentionError } from "webgpu-attention";
import type { LanguagePasses } from "./language-passes.js";
import type { SequenceState } from "./sequence-state.js";
import type { StepCost } from "./step-list.js";

/** A forward pass: all of it, embedding and logits with its layers. */
export interface PassDescription extends StepCost {
  readonly layers: readonly StepCost[];
}

/** @throws AttentionError "shape" unless `tokens` is a number of them, and as `LanguagePasses.lease` */
export async function describePass(
  passes: LanguagePasses,
  state: SequenceState,
  tokens: number,
): Promise<PassDescription> {
  if (!Number.isInteger(tokens) || tokens < 1)
    throw new AttentionError("shape", {
      ...{ subject: "tokens", expected: "an integer of at least 1", got: String(tokens) },
      fix: "A decode step takes one.",
    });
  const context = Math.max(...state.lengths) + tokens;
  const phase = tokens === 1 ? "decode" : "prefill";
  const shape = { tokens, logitsOf: "last", phase, isWhole: false, hooks: [], context } as const;
  const { value: pass, release } = await passes.lease(shape, state);
  release();
  const { cost, layers } = pass.forward;
  return { ...cost, layers };
}
