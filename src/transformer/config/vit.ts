import { readActivation } from "./activations.js";
import type { Architecture } from "./architecture.js";
import type { Fields } from "./fields.js";
import { readLabels } from "./labels.js";
import type { HeadConfig, ImageConfig, LayerConfig, ModelConfig } from "./model-config.js";
import { TensorList } from "./tensor-list.js";

/** ViT, and DeiT with its distillation token: patches, learned positions, layer norms before each part. */
export const vit: Architecture = vision("vit", 1);
export const deit: Architecture = vision("deit", 2);

function vision(architecture: "vit" | "deit", extraTokens: 1 | 2): Architecture {
  return {
    config: (fields) => readConfig(fields, architecture, extraTokens),
    tensors: (config, names) => tensors(config, names, architecture),
  };
}

function readConfig(fields: Fields, architecture: string, extraTokens: 1 | 2): ModelConfig {
  const width = fields.size("hidden_size");
  const heads = fields.heads("num_attention_heads");
  if (width % heads !== 0) throw fields.wrong("num_attention_heads", `a divisor of hidden_size (${width})`);
  const headDim = width / heads;
  const layer: LayerConfig = {
    attention: {
      ...{ mechanism: "softmax", heads, kvHeads: heads, headDim, scale: headDim ** -0.5 },
      ...{ causal: false, qkvBias: fields.boolean("qkv_bias", true), outBias: true },
    },
    mlp: {
      hidden: fields.size("intermediate_size"),
      activation: readActivation(fields, "hidden_act", "gelu"),
      gated: false,
      bias: true,
    },
  };
  const [size, patch] = [readSide(fields, "image_size", 224), readSide(fields, "patch_size", 16)];
  if (size % patch !== 0) throw fields.wrong("patch_size", `a divisor of image_size (${size})`);
  const image = { size, patch, channels: fields.channels("num_channels", 3), extraTokens };
  const count = (size / patch) ** 2 + extraTokens;
  const [name] = fields.has("architectures") ? fields.list("architectures") : [];
  const pooler = [undefined, "ViTModel", "DeiTModel"].includes(name as string | undefined);
  if (pooler) fields.refuse("pooler_act", ["tanh"]);
  return {
    architecture,
    width,
    context: count,
    layers: Array.from({ length: fields.layers("num_hidden_layers") }, () => layer),
    norm: { kind: "layer", eps: fields.positive("layer_norm_eps", 1e-12), learned: true },
    normPlacement: "before",
    image: { ...image, ...readPixels(fields, image.channels) },
    positions: { kind: "learned", count },
    head: readHead(fields, name),
    pooler,
  };
}

/** Of a square, which files may write as height and width. */
function readSide(fields: Fields, name: string, fallback: number): number {
  const value = fields.raw(name);
  if (!Array.isArray(value)) return fields.size(name, fallback);
  const [height, width] = value;
  if (value.length === 2 && height === width) return fields.with({ [name]: height }).size(name);
  throw fields.unsupported(name, "a number, or two equal ones");
}

/**
 * From the configuration or, merged into it, `preprocessor_config.json`; half of the range around 0 where neither says. A step that is
 * switched off there changes nothing.
 */
export function readPixels(fields: Fields, channels: number): Pick<ImageConfig, "rescale" | "mean" | "std"> {
  const ofEach = (value: number) => Array.from({ length: channels }, () => value);
  const rescale = fields.boolean("do_rescale", true) ? fields.positive("rescale_factor", 1 / 255) : 1;
  if (!fields.boolean("do_normalize", true)) return { rescale, mean: ofEach(0), std: ofEach(1) };
  const std = fields.numbers("image_std", channels, ofEach(0.5));
  if (!std.every((value) => value > 0)) throw fields.wrong("image_std", "numbers above 0");
  return { rescale, mean: fields.numbers("image_mean", channels, ofEach(0.5)), std };
}

function readHead(fields: Fields, name: unknown): HeadConfig {
  switch (name) {
    case undefined:
    case "ViTModel":
    case "DeiTModel":
      return { kind: "none" };
    case "ViTForImageClassification":
    case "DeiTForImageClassification":
      return { kind: "classifier", labels: readLabels(fields), from: "first-token", distilled: false };
    case "DeiTForImageClassificationWithTeacher":
      return { kind: "classifier", labels: readLabels(fields), from: "first-token", distilled: true };
    default:
      throw fields.unsupported(
        "architectures",
        "ViTModel, ViTForImageClassification, DeiTModel, DeiTForImageClassification or DeiTForImageClassificationWithTeacher",
      );
  }
}

function tensors(config: ModelConfig, names: ReadonlySet<string>, architecture: string): TensorList {
  const { width, image, layers, head, positions } = config;
  const prefix = names.has("embeddings.cls_token") ? "" : `${architecture}.`;
  const list = new TensorList();
  list.unused.push(/embeddings\.mask_token$/);
  // A pooler is stored only when it was trained; a model without heads may have it or not.
  const pooled = config.pooler && names.has(`${prefix}pooler.dense.weight`);
  if (!config.pooler) list.unused.push(/(^|\.)pooler\./);
  const { channels, patch, extraTokens } = image!;
  const embeddings = `${prefix}embeddings`;
  list.vector("classToken", `${embeddings}.cls_token`, width, [1, 1, width]);
  if (extraTokens === 2)
    list.vector("distillationToken", `${embeddings}.distillation_token`, width, [1, 1, width]);
  if (positions.kind === "learned") {
    const shape = [1, positions.count, width];
    list.table("positions", `${embeddings}.position_embeddings`, positions.count, width, shape);
  }
  const projection = `${embeddings}.patch_embeddings.projection`;
  const pixels = channels * patch * patch;
  list.matrix("patches", `${projection}.weight`, width, pixels, [width, channels, patch, patch]);
  list.vector("patches.bias", `${projection}.bias`, width);
  layers.forEach(({ attention, mlp }, index) => {
    const [slot, name] = [`layers.${index}`, `${prefix}encoder.layer.${index}`];
    const qkv = ["query", "key", "value"].map((part) => ({
      name: `${name}.attention.attention.${part}`,
      rows: width,
    }));
    list.norm(`${slot}.norm1`, `${name}.layernorm_before`, width, true);
    list.stackedLinear(`${slot}.qkv`, qkv, width, attention.qkvBias);
    list.linear(`${slot}.out`, `${name}.attention.output.dense`, width, width, true);
    list.norm(`${slot}.norm2`, `${name}.layernorm_after`, width, true);
    list.linear(`${slot}.up`, `${name}.intermediate.dense`, mlp.hidden, width, true);
    list.linear(`${slot}.down`, `${name}.output.dense`, width, mlp.hidden, true);
  });
  list.norm("norm", `${prefix}layernorm`, width, true);
  if (pooled) list.linear("pooler", `${prefix}pooler.dense`, width, width, true);
  if (head.kind === "classifier" && head.distilled) {
    list.linear("head", "cls_classifier", head.labels.length, width, true);
    list.linear("distillationHead", "distillation_classifier", head.labels.length, width, true);
  } else if (head.kind === "classifier") {
    list.linear("head", "classifier", head.labels.length, width, true);
  }
  return list;
}
