import { AttentionError } from "webgpu-attention";
import type { ModelConfig } from "../config/model-config.js";
import type { SequenceState } from "./sequence-state.js";

/** @throws AttentionError "shape" when a sequence is longer than its cache */
export function checkRoom({ lengths, capacity }: Pick<SequenceState, "lengths" | "capacity">): void {
  const longest = Math.max(...lengths);
  if (longest > capacity) throw tooLong("sequence", `at most ${capacity} tokens, its capacity`, longest);
}

/** @throws AttentionError "shape" when a model has learned fewer positions than a text would have */
export function checkPositions({ positions }: ModelConfig, tokens: number): void {
  if (positions.kind !== "learned" || tokens <= positions.count) return;
  throw tooLong(
    "sequence",
    `at most ${positions.count} tokens: the model has learned no further positions`,
    tokens,
  );
}

/** Few different capacities need few different passes. What is no number is left for the state to refuse. */
export function roundedUp(capacity: number): number {
  return Number.isInteger(capacity) && capacity > 0
    ? Math.max(64, 2 ** Math.ceil(Math.log2(capacity)))
    : capacity;
}

function tooLong(subject: string, expected: string, tokens: number): AttentionError {
  const fix = "Shorten the text, ask for fewer tokens, or create the state with a larger capacity.";
  return new AttentionError("shape", { subject, expected, got: `${tokens}`, fix });
}

export function destroyedModel(): AttentionError {
  return new AttentionError("disposed", {
    ...{ subject: "model", expected: "a model in use", got: "a model after destroy()" },
    fix: "Load it again.",
  });
}
