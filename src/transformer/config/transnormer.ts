import { readActivation } from "./activations.js";
import type { Architecture } from "./architecture.js";
import { layerDecays } from "./decay.js";
import { embeddingName, readIds } from "./decoder.js";
import type { Fields } from "./fields.js";
import type { LayerConfig, ModelConfig } from "./model-config.js";
import { TensorList } from "./tensor-list.js";

/** TransNormerLLM (arXiv 2307.14995): lightning attention, SRMS norms without weights, gated parts without activation. */
export const transnormer: Architecture = { config: readConfig, tensors };

/** Of all its norms. */
const EPS = 1e-6;

function readConfig(fields: Fields): ModelConfig {
  fields.refuse("norm_type", ["simplermsnorm"]);
  const width = fields.size("decoder_embed_dim");
  const heads = fields.heads("decoder_attention_heads");
  const inner = fields.size("hidden_dim", width);
  if (inner % heads !== 0)
    throw fields.wrong("decoder_attention_heads", `a divisor of hidden_dim (${inner})`);
  const layers = fields.layers("decoder_layers");
  const decay = layerDecays(fields, "decoder_attention_heads", heads, layers);
  const turned = fields.has("linear_use_lrpe_list") ? fields.list("linear_use_lrpe_list") : [];
  if (turned.length > 0 && turned.length !== layers) {
    throw fields.wrong("linear_use_lrpe_list", `a list of ${layers}, one for each layer`);
  }
  const bias = fields.boolean("bias", false);
  const layer = (index: number): LayerConfig => ({
    attention: {
      ...{ mechanism: "lightning", heads, kvHeads: heads, headDim: inner / heads, scale: 1 },
      ...{ causal: true, qkvBias: bias, outBias: bias, outputNormEps: EPS },
      activation: readActivation(fields, "linear_act_fun", "silu"),
      decay: decay(index),
      ...(turned[index] ? { lrpe: { learned: true } } : {}),
    },
    mlp: { hidden: fields.size("glu_dim"), activation: "none", gated: true, bias },
  });
  return {
    architecture: "transnormer",
    width,
    context: fields.size("max_position_embeddings", 2048),
    layers: Array.from({ length: layers }, (_, index) => layer(index)),
    norm: { kind: "srms", eps: EPS, learned: false },
    normPlacement: "before",
    tokens: {
      vocabulary: fields.size("vocab_size"),
      embeddingScale: fields.boolean("no_scale_embedding", false) ? 1 : Math.sqrt(width),
      ...readIds(fields),
    },
    positions: { kind: "none" },
    head: { kind: "language", tied: fields.boolean("tie_word_embeddings", true), bias: false },
    pooler: false,
  };
}

function tensors(config: ModelConfig, names: ReadonlySet<string>): TensorList {
  const { width, layers, tokens, head } = config;
  const tied = head.kind === "language" && head.tied;
  const list = new TensorList();
  list.unused.push(/\.slopes?$/, ...(tied ? [/^lm_head\.weight$/] : []));
  const embedding = embeddingName("model.embed_tokens", config, names);
  list.matrix("embedding", `${embedding}.weight`, tokens!.vocabulary, width);
  layers.forEach(({ attention, mlp }, index) => {
    const [slot, name] = [`layers.${index}`, `model.layers.${index}`];
    const { heads, headDim, qkvBias } = attention;
    const inner = heads * headDim;
    list.linear(`${slot}.qkvu`, `${name}.token_mixer.qkvu_proj`, 4 * inner, width, qkvBias);
    if (attention.mechanism === "lightning" && attention.lrpe) {
      list.table(`${slot}.lrpe`, `${name}.token_mixer.lrpe.theta`, heads, headDim, [heads, 1, headDim]);
    }
    list.linear(`${slot}.out`, `${name}.token_mixer.out_proj`, width, inner, attention.outBias);
    const gateUp = ["l1", "l2"].map((part) => ({ name: `${name}.channel_mixer.${part}`, rows: mlp.hidden }));
    list.stackedLinear(`${slot}.gateUp`, gateUp, width, mlp.bias);
    list.linear(`${slot}.down`, `${name}.channel_mixer.l3`, width, mlp.hidden, mlp.bias);
  });
  if (!tied) list.matrix("head", "lm_head.weight", tokens!.vocabulary, width);
  return list;
}
