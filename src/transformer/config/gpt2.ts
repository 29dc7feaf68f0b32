import { readActivation } from "./activations.js";
import type { Architecture } from "./architecture.js";
import { embeddingName, readIds } from "./decoder.js";
import type { Fields } from "./fields.js";
import type { LayerConfig, ModelConfig } from "./model-config.js";
import { TensorList } from "./tensor-list.js";

/** GPT-2: learned positions, layer norms before each part, biases everywhere, weights stored [in, out]. */
export const gpt2: Architecture = { config: readConfig, tensors };

function readConfig(fields: Fields): ModelConfig {
  fields.refuse("add_cross_attention", [false]);
  fields.refuse("is_causal", [true]);
  fields.refuse("scale_attn_weights", [true]);
  const width = fields.size("n_embd");
  const heads = fields.heads("n_head");
  if (width % heads !== 0) throw fields.wrong("n_head", `a divisor of n_embd (${width})`);
  const headDim = width / heads;
  const byLayer = fields.boolean("scale_attn_by_inverse_layer_idx", false);
  const mlp = {
    hidden: fields.size("n_inner", 4 * width),
    activation: readActivation(fields, "activation_function", "gelu_new"),
    gated: false,
    bias: true,
  };
  const layer = (index: number): LayerConfig => {
    const scale = headDim ** -0.5 / (byLayer ? index + 1 : 1);
    const shared = { heads, kvHeads: heads, headDim, causal: true, qkvBias: true, outBias: true };
    return { attention: { mechanism: "softmax", ...shared, scale }, mlp };
  };
  const positions = fields.size("n_positions", 1024);
  return {
    architecture: "gpt2",
    width,
    context: positions,
    layers: Array.from({ length: fields.layers("n_layer") }, (_, index) => layer(index)),
    norm: { kind: "layer", eps: fields.positive("layer_norm_epsilon", 1e-5), learned: true },
    normPlacement: "before",
    tokens: { vocabulary: fields.size("vocab_size"), embeddingScale: 1, ...readIds(fields) },
    positions: { kind: "learned", count: positions },
    head: { kind: "language", tied: fields.boolean("tie_word_embeddings", true), bias: false },
    pooler: false,
  };
}

function tensors(config: ModelConfig, names: ReadonlySet<string>): TensorList {
  const { width, layers, tokens, head, positions } = config;
  const prefix = names.has("transformer.h.0.ln_1.weight") ? "transformer." : "";
  const tied = head.kind === "language" && head.tied;
  const list = new TensorList();
  // The causal mask of old files, and a copy of the embedding.
  list.unused.push(/\.attn\.(masked_)?bias$/, ...(tied ? [/^lm_head\.weight$/] : []));
  const embedding = embeddingName(`${prefix}wte`, config, names);
  list.matrix("embedding", `${embedding}.weight`, tokens!.vocabulary, width);
  if (positions.kind === "learned") list.table("positions", `${prefix}wpe.weight`, positions.count, width);
  const conv1d = (slot: string, name: string, rows: number, columns: number) => {
    list.transposed(slot, `${prefix}${name}.weight`, rows, columns);
    list.vector(`${slot}.bias`, `${prefix}${name}.bias`, rows);
  };
  layers.forEach(({ mlp }, index) => {
    const [slot, name] = [`layers.${index}`, `h.${index}`];
    list.norm(`${slot}.norm1`, `${prefix}${name}.ln_1`, width, true);
    conv1d(`${slot}.qkv`, `${name}.attn.c_attn`, 3 * width, width);
    conv1d(`${slot}.out`, `${name}.attn.c_proj`, width, width);
    list.norm(`${slot}.norm2`, `${prefix}${name}.ln_2`, width, true);
    conv1d(`${slot}.up`, `${name}.mlp.c_fc`, mlp.hidden, width);
    conv1d(`${slot}.down`, `${name}.mlp.c_proj`, width, mlp.hidden);
  });
  list.norm("norm", `${prefix}ln_f`, width, true);
  if (!tied) list.matrix("head", "lm_head.weight", tokens!.vocabulary, width);
  return list;
}
