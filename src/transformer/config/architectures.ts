import { AttentionError } from "webgpu-attention";
import { show } from "../show.js";
import type { Architecture } from "./architecture.js";
import { bert } from "./bert.js";
import { llama, mistral, qwen2, qwen3 } from "./decoder.js";
import type { Fields } from "./fields.js";
import { gpt2 } from "./gpt2.js";
import { native } from "./native.js";
import { transnormer } from "./transnormer.js";
import { deit, vit } from "./vit.js";

/** By `model_type` of Hugging Face's `config.json`. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  bert,
  deit,
  gpt2,
  llama,
  mistral,
  qwen2,
  qwen3,
  transnormer,
  vit,
};

/**
 * How a `config.json` is to be read: by its `model_type` (Hugging Face), or as this package's own format, which has a `task`.
 *
 * @throws AttentionError "unsupported" for an architecture that is not known, or weights in a quantised form of another library
 */
export function architectureOf(fields: Fields): Architecture {
  fields.refuse("quantization_config", []);
  if (!fields.has("model_type") && fields.has("task")) return native;
  const name = fields.string("model_type");
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (architecture) return architecture;
  throw new AttentionError("unsupported", {
    subject: `${fields.file} model_type`,
    expected: `one of ${Object.keys(ARCHITECTURES).join(", ")}, or this package's own format`,
    got: show(name),
    fix: "This package has no such model; docs/models.md says what it has, and how to describe one of your own.",
  });
}
