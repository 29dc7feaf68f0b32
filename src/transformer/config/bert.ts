import { readActivation } from "./activations.js";
import type { Architecture } from "./architecture.js";
import { readIds } from "./decoder.js";
import type { Fields } from "./fields.js";
import { readLabels } from "./labels.js";
import type { HeadConfig, LayerConfig, ModelConfig } from "./model-config.js";
import { TensorList } from "./tensor-list.js";

/** BERT: an encoder with layer norms after each sum, and its pooler, masked-language and classifier heads. */
export const bert: Architecture = { config: readConfig, tensors };

function readConfig(fields: Fields): ModelConfig {
  fields.refuse("position_embedding_type", ["absolute"]);
  fields.refuse("is_decoder", [false]);
  fields.refuse("add_cross_attention", [false]);
  const width = fields.size("hidden_size");
  const heads = fields.heads("num_attention_heads");
  if (width % heads !== 0) throw fields.wrong("num_attention_heads", `a divisor of hidden_size (${width})`);
  const headDim = width / heads;
  const activation = readActivation(fields, "hidden_act", "gelu");
  const layer: LayerConfig = {
    attention: {
      ...{ mechanism: "softmax", heads, kvHeads: heads, headDim, scale: headDim ** -0.5 },
      ...{ causal: false, qkvBias: true, outBias: true },
    },
    mlp: { hidden: fields.size("intermediate_size"), activation, gated: false, bias: true },
  };
  const positions = fields.size("max_position_embeddings", 512);
  const [name] = fields.has("architectures") ? fields.list("architectures") : [];
  return {
    architecture: "bert",
    width,
    context: positions,
    layers: Array.from({ length: fields.layers("num_hidden_layers") }, () => layer),
    norm: { kind: "layer", eps: fields.positive("layer_norm_eps", 1e-12), learned: true },
    normPlacement: "after",
    tokens: {
      vocabulary: fields.size("vocab_size"),
      types: fields.size("type_vocab_size", 2),
      embeddingScale: 1,
      ...readIds(fields),
    },
    positions: { kind: "learned", count: positions },
    head: readHead(fields, name),
    pooler: name !== "BertForMaskedLM",
  };
}

function readHead(fields: Fields, name: unknown): HeadConfig {
  switch (name) {
    case undefined:
    case "BertModel":
      return { kind: "none" };
    case "BertForMaskedLM":
    case "BertForPreTraining":
      fields.refuse("tie_word_embeddings", [true]);
      return { kind: "masked-language", activation: readActivation(fields, "hidden_act", "gelu") };
    case "BertForSequenceClassification":
      return { kind: "classifier", labels: readLabels(fields), from: "pooler", distilled: false };
    default:
      throw fields.unsupported(
        "architectures",
        "BertModel, BertForMaskedLM, BertForPreTraining or BertForSequenceClassification",
      );
  }
}

function tensors(config: ModelConfig, names: ReadonlySet<string>): TensorList {
  const { width, tokens, positions, layers, head } = config;
  const prefix = names.has("embeddings.word_embeddings.weight") ? "" : "bert.";
  const list = new TensorList();
  // Position numbers of old files; the head for pairs of sentences; what `tied` and untaken heads leave; a pooler that no head reads.
  list.unused.push(/embeddings\.position_ids$/, /^cls\.seq_relationship\./, /^cls\.predictions\.decoder\./);
  if (head.kind !== "masked-language") list.unused.push(/^cls\.predictions\./);
  if (!config.pooler) list.unused.push(/(^|\.)pooler\./);
  /** The oldest files call scale and shift gamma and beta. */
  const norm = (slot: string, name: string) => {
    const ends = names.has(`${name}.gamma`) ? ["gamma", "beta"] : ["weight", "bias"];
    list.norm(slot, name, width, true, ends);
  };
  const embeddings = `${prefix}embeddings`;
  list.matrix("embedding", `${embeddings}.word_embeddings.weight`, tokens!.vocabulary, width);
  if (positions.kind === "learned")
    list.table("positions", `${embeddings}.position_embeddings.weight`, positions.count, width);
  list.table("tokenTypes", `${embeddings}.token_type_embeddings.weight`, tokens!.types!, width);
  norm("embeddingNorm", `${embeddings}.LayerNorm`);
  layers.forEach(({ mlp }, index) => {
    const [slot, name] = [`layers.${index}`, `${prefix}encoder.layer.${index}`];
    const qkv = ["query", "key", "value"].map((part) => ({
      name: `${name}.attention.self.${part}`,
      rows: width,
    }));
    list.stackedLinear(`${slot}.qkv`, qkv, width, true);
    list.linear(`${slot}.out`, `${name}.attention.output.dense`, width, width, true);
    norm(`${slot}.norm1`, `${name}.attention.output.LayerNorm`);
    list.linear(`${slot}.up`, `${name}.intermediate.dense`, mlp.hidden, width, true);
    list.linear(`${slot}.down`, `${name}.output.dense`, width, mlp.hidden, true);
    norm(`${slot}.norm2`, `${name}.output.LayerNorm`);
  });
  // A model without heads may have been stored without the pooler, too.
  const needed = head.kind === "classifier";
  if (config.pooler && (needed || names.has(`${prefix}pooler.dense.weight`)))
    list.linear("pooler", `${prefix}pooler.dense`, width, width, true);
  if (head.kind === "masked-language") {
    list.linear("transform", "cls.predictions.transform.dense", width, width, true);
    norm("transformNorm", "cls.predictions.transform.LayerNorm");
    list.vector("head.bias", "cls.predictions.bias", tokens!.vocabulary);
  }
  if (head.kind === "classifier") list.linear("head", "classifier", head.labels.length, width, true);
  return list;
}
