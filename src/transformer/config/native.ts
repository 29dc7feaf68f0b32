import { readActivation } from "./activations.js";
import type { Architecture } from "./architecture.js";
import { readIds } from "./decoder.js";
import type { Fields } from "./fields.js";
import { readLabels } from "./labels.js";
import type {
  AttentionConfig,
  DiffusionConfig,
  LayerConfig,
  MlpConfig,
  ModelConfig,
} from "./model-config.js";
import { readAttention } from "./native-attention.js";
import { nativeTensors } from "./native-tensors.js";
import { readPixels } from "./vit.js";

/** This package's own format, of the checkpoints in `demo/public/models`: any mechanism in any layer, and diffusion transformers. */
export const native: Architecture = {
  config: (fields) => {
    switch (fields.choice("task", ["language", "classifier", "diffusion"])) {
      case "language":
        return readLanguage(fields);
      case "classifier":
        return readClassifier(fields);
      case "diffusion":
        return readDiffusion(fields);
    }
  },
  tensors: nativeTensors,
};

function readLanguage(fields: Fields): ModelConfig {
  const width = fields.size("width");
  const plain = fields.choice("norm", ["rmsnorm", "srmsnorm"]) === "srmsnorm";
  checkOrder(fields, "mlp_order", ["gate", "value"]);
  const bias = fields.boolean("mlp_bias", false);
  const mlp = {
    hidden: fields.size("hidden"),
    activation: readActivation(fields, "hidden_act"),
    gated: true,
    bias,
  };
  const scale = fields.number("embedding_scale", 1);
  const sinusoids = fields.string("position_embedding_type") === "sinusoidal";
  if (sinusoids) checkOrder(fields, "sinusoid_order", ["sin", "cos"]);
  return {
    architecture: "native",
    width,
    context: fields.size("context"),
    layers: readLayers(fields, mlp, { width, causal: true }),
    norm: { kind: plain ? "srms" : "rms", eps: fields.positive("rms_norm_eps"), learned: !plain },
    normPlacement: "before",
    tokens: { vocabulary: fields.size("vocabulary"), embeddingScale: scale, ...readIds(fields) },
    positions: sinusoids
      ? { kind: "sinusoidal", base: fields.positive("sinusoid_base"), scale: fields.number("sinusoid_scale") }
      : { kind: "none" },
    head: { kind: "language", tied: fields.boolean("tie_word_embeddings"), bias: false },
    pooler: false,
  };
}

function readClassifier(fields: Fields): ModelConfig {
  checkWords(fields, { class_token: "first", pooler: "class_token" });
  const labels = readLabels(fields);
  if (labels.length !== fields.size("classes"))
    throw fields.wrong("classes", `${labels.length}, as in id2label`);
  return {
    ...readImageModel(fields, 1),
    head: { kind: "classifier", labels, from: "first-token", distilled: false },
  };
}

function readDiffusion(fields: Fields): ModelConfig {
  fields.refuse("class_token", []);
  checkOrder(fields, "time_order", ["cos", "sin"]);
  checkOrder(fields, "modulation_order", ["shift1", "scale1", "gate1", "shift2", "scale2", "gate2"]);
  checkOrder(fields, "final_modulation_order", ["shift", "scale"]);
  checkWords(fields, { predicts: "image - noise", time_of_noise: 0, time_of_image: 1 });
  const model = readImageModel(fields, 0);
  if (model.width % 2 !== 0) throw fields.wrong("width", "an even number, half of it cosines of the time");
  const sampler = fields.object("sampler") ?? fields.with({ method: "euler", steps: 50, guidance_scale: 1 });
  sampler.choice("method", ["euler"]);
  const classes = fields.size("classes");
  const noLabel = fields.size("no_label_id", classes);
  if (noLabel > classes) throw fields.wrong("no_label_id", `at most ${classes}, the last row of the labels`);
  const diffusion: DiffusionConfig = {
    ...{ classes, noLabel, labels: readLabels(fields) },
    timeScale: fields.positive("time_scale"),
    timeBase: fields.positive("time_base"),
    sampler: { steps: sampler.size("steps"), guidance: sampler.number("guidance_scale") },
  };
  return { ...model, norm: { ...model.norm, learned: false }, head: { kind: "patches" }, diffusion };
}

/** What classifiers and diffusion transformers share: patches, learned positions, layer norms, plain channel parts. */
function readImageModel(fields: Fields, extraTokens: 0 | 1): Omit<ModelConfig, "head"> {
  checkWords(fields, { position_embedding_type: "absolute" });
  const width = fields.size("width");
  const [size, patch, channels] = [
    fields.size("image"),
    fields.size("patch"),
    fields.channels("num_channels", 1),
  ];
  if (size % patch !== 0) throw fields.wrong("patch", `a divisor of image (${size})`);
  const bias = fields.boolean("mlp_bias");
  const mlp = {
    hidden: fields.size("hidden"),
    activation: readActivation(fields, "hidden_act"),
    gated: false,
    bias,
  };
  const side = size / patch;
  const count = side ** 2 + extraTokens;
  return {
    architecture: "native",
    width,
    context: count,
    layers: readLayers(fields, mlp, { width, causal: false, grid: side }),
    norm: { kind: "layer", eps: fields.positive("layer_norm_eps"), learned: true },
    normPlacement: "before",
    image: { size, patch, channels, extraTokens, ...readPixels(fields, channels) },
    positions: { kind: "learned", count },
    pooler: false,
  };
}

/** `attention` may hold, for each layer, what differs from the configuration's own fields. */
function readLayers(
  fields: Fields,
  mlp: MlpConfig,
  model: { readonly width: number; readonly causal: boolean; readonly grid?: number },
): LayerConfig[] {
  const layers = fields.layers("layers");
  const own = fields.has("attention") ? fields.list("attention") : [];
  if (own.length > 0 && own.length !== layers) {
    throw fields.wrong("attention", `a list of ${layers}, one object for each layer`);
  }
  return Array.from({ length: layers }, (_, index) => {
    const described = fields.with((own[index] ?? {}) as object);
    const attention: AttentionConfig = readAttention(described, { ...model, index, layers });
    return { attention, mlp };
  });
}

/** Orders of parts are written down so that they can be checked; there is one of each. */
function checkOrder(fields: Fields, name: string, order: readonly string[]): void {
  const given = fields.has(name) ? fields.list(name) : order;
  if (given.length === order.length && given.every((part, index) => part === order[index])) return;
  throw fields.unsupported(name, JSON.stringify(order));
}

function checkWords(fields: Fields, words: Readonly<Record<string, string | number>>): void {
  for (const [name, word] of Object.entries(words)) {
    if (fields.raw(name) !== word) throw fields.unsupported(name, JSON.stringify(word));
  }
}
