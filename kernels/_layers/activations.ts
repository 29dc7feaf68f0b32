import { fail } from "../../src/dispatch/check.js";

/**
 * `gelu` is the tanh form (arXiv 1606.08415, section 2), `gelu-erf` the exact one (within 2e-7), `silu` x / (1 + e^-x),
 * `sigmoid` 1 / (1 + e^-x).
 */
export type Activation = "none" | "relu" | "tanh" | "gelu" | "gelu-erf" | "silu" | "sigmoid";

/** Numbers of `activation.wgsl`. */
export const ACTIVATIONS: readonly Activation[] = [
  "none",
  "relu",
  "tanh",
  "gelu",
  "silu",
  "sigmoid",
  "gelu-erf",
];

/** @throws AttentionError "unsupported" */
export function checkActivation(subject: string, activation: Activation): void {
  if (ACTIVATIONS.includes(activation)) return;
  fail(
    "unsupported",
    subject,
    ACTIVATIONS.join(", "),
    activation,
    "Use one of these, or leave it out for none.",
  );
}
