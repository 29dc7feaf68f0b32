import {
  type AttentionHook,
  attentionCalibration,
  type HeadOperation,
  perturbHeads,
  softPag,
  UNIFORM_HEAD,
  ZERO_HEAD,
} from "webgpu-attention/hooks";
import type { Values } from "../common/hash-values.js";
import type { HookChoice, HookKind } from "./hook-kinds.js";

const OPERATIONS: Readonly<Record<HookKind["name"], (values: Values) => HeadOperation>> = {
  scores: ({ factor }) => ({ kind: "scale", logits: numberOf(factor) }),
  mask: ({ into }) => (into === "zero" ? ZERO_HEAD : UNIFORM_HEAD),
  identity: ({ u }) => softPag({ u: numberOf(u) }),
  calibrate: ({ theta, beta, first }) =>
    attentionCalibration({
      ...{ theta: numberOf(theta), beta: numberOf(beta), update: "running" },
      protect: first === "too" ? [] : [0],
    }),
  gain: ({ factor }) => ({ kind: "gain", output: numberOf(factor) }),
};

/** NaN for an empty field as well, so that the library says what it wants. */
function numberOf(text = ""): number {
  return text.trim() === "" ? Number.NaN : Number(text);
}

/**
 * Hooks of what was chosen; none for choices without heads.
 *
 * @throws AttentionError "shape" for numbers that an operation cannot take
 */
export function hooksOf(choices: readonly HookChoice[]): AttentionHook[] {
  return choices
    .filter(({ heads }) => heads.length > 0)
    .map(({ kind, heads, values }) => perturbHeads(heads, OPERATIONS[kind](values)));
}

/** Hooks by what was chosen: the same choices give the same objects, by which a model finds its compiled passes again. */
export class KnownHooks {
  #choices = "[]";
  #hooks: AttentionHook[] = [];

  of(choices: readonly HookChoice[]): readonly AttentionHook[] {
    const asked = JSON.stringify(choices);
    if (asked !== this.#choices) {
      this.#hooks = hooksOf(choices);
      this.#choices = asked;
    }
    return this.#hooks;
  }
}
