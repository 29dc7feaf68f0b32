import type { Activation } from "webgpu-attention/layers";
import type { Fields } from "./fields.js";

/** Hugging Face's names; `gelu` is the exact one there. */
const NAMES: Readonly<Record<string, Activation>> = {
  gelu: "gelu-erf",
  gelu_new: "gelu",
  gelu_pytorch_tanh: "gelu",
  gelu_fast: "gelu",
  linear: "none",
  relu: "relu",
  sigmoid: "sigmoid",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
};

export function readActivation(fields: Fields, name: string, fallback?: string): Activation {
  const value = fields.string(name, fallback);
  const activation = Object.hasOwn(NAMES, value) ? NAMES[value] : undefined;
  if (activation) return activation;
  throw fields.unsupported(name, Object.keys(NAMES).join(", "));
}
