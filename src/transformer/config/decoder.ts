import { readActivation } from "./activations.js";
import type { Architecture } from "./architecture.js";
import type { Fields } from "./fields.js";
import type { LayerConfig, ModelConfig, SoftmaxConfig } from "./model-config.js";
import { readRope } from "./read-rope.js";
import { TensorList } from "./tensor-list.js";

/** What tells the families of one scheme apart. */
interface Family {
  readonly biases: (fields: Fields) => Biases;
  /** Channels of a head where the configuration does not say; undefined: the width over the heads. */
  readonly headDim?: number;
  /** Whether each head's q and k are normed. */
  readonly headNorms: boolean;
  /** Keys that a layer's queries see; undefined: all. */
  readonly window: (fields: Fields, layer: number) => number | undefined;
}

/** Which projections have biases: q, k and v; the output; the channel part. */
interface Biases {
  readonly qkv: boolean;
  readonly out: boolean;
  readonly mlp: boolean;
}

/** Decoders with RMS norm, rotary embedding, grouped heads and a gated channel part: llama (SmolLM, too), mistral, qwen2, qwen3. */
function decoder(family: Family): Architecture {
  return {
    config: (fields) => readConfig(fields, family),
    tensors: (config, names) => decoderTensors(config, namesOf(config, names)),
  };
}

// transformers reads these fields of some families only, and ignores them where others name them.

export const llama = decoder({
  biases: (fields) => ({ ...attentionBiases(fields), mlp: fields.boolean("mlp_bias", false) }),
  headNorms: false,
  window: () => undefined,
});

export const mistral = decoder({
  biases: () => ({ qkv: false, out: false, mlp: false }),
  headNorms: false,
  window: readWindow,
});

export const qwen2 = decoder({
  biases: () => ({ qkv: true, out: false, mlp: false }),
  headNorms: false,
  window: qwenWindow,
});

export const qwen3 = decoder({
  biases: (fields) => ({ ...attentionBiases(fields), mlp: false }),
  headDim: 128,
  headNorms: true,
  window: qwenWindow,
});

function attentionBiases(fields: Fields): Omit<Biases, "mlp"> {
  const bias = fields.boolean("attention_bias", false);
  return { qkv: bias, out: bias };
}

/** Files may leave out what is transformers' default; only null says that there is none. */
function readWindow(fields: Fields): number | undefined {
  return fields.isNull("sliding_window") ? undefined : fields.size("sliding_window", 4096);
}

/** Layers slide from `max_window_layers` (transformers' default: 28) on, or as `layer_types` names them one by one. */
function qwenWindow(fields: Fields, layer: number): number | undefined {
  if (!fields.boolean("use_sliding_window", false)) return undefined;
  const slides = fields.has("layer_types")
    ? fields.list("layer_types")[layer] === "sliding_attention"
    : layer >= fields.size("max_window_layers", 28, 0);
  return slides ? readWindow(fields) : undefined;
}

function readConfig(fields: Fields, family: Family): ModelConfig {
  fields.refuse("is_causal", [true]);
  const width = fields.size("hidden_size");
  const heads = fields.heads("num_attention_heads");
  const kvHeads = fields.heads("num_key_value_heads", heads);
  if (heads % kvHeads !== 0) throw fields.wrong("num_key_value_heads", `a divisor of the ${heads} heads`);
  const defaultDim = family.headDim ?? width / heads;
  if (!fields.has("head_dim") && !Number.isInteger(defaultDim)) {
    throw fields.wrong("num_attention_heads", `a divisor of hidden_size (${width}), or head_dim`);
  }
  const headDim = fields.size("head_dim", defaultDim);
  const layers = fields.layers("num_hidden_layers");
  checkLayerTypes(fields, layers);
  const norm = { kind: "rms", eps: fields.positive("rms_norm_eps", 1e-6), learned: true } as const;
  const biases = family.biases(fields);
  const shared = {
    ...{ mechanism: "softmax", heads, kvHeads, headDim, causal: true, scale: headDim ** -0.5 },
    ...{ qkvBias: biases.qkv, outBias: biases.out },
    rope: readRope(fields, headDim),
    ...(family.headNorms && { headNormEps: norm.eps }),
  } satisfies SoftmaxConfig;
  const mlp = {
    hidden: fields.size("intermediate_size"),
    activation: readActivation(fields, "hidden_act", "silu"),
    gated: true,
    bias: biases.mlp,
  };
  const layer = (index: number): LayerConfig => {
    const window = family.window(fields, index);
    return { attention: { ...shared, ...(window !== undefined && { window }) }, mlp };
  };
  return {
    architecture: fields.string("model_type"),
    width,
    context: fields.size("max_position_embeddings", 2048),
    layers: Array.from({ length: layers }, (_, index) => layer(index)),
    norm,
    normPlacement: "before",
    tokens: { vocabulary: fields.size("vocab_size"), embeddingScale: 1, ...readIds(fields) },
    positions: { kind: "none" },
    head: { kind: "language", tied: fields.boolean("tie_word_embeddings", false), bias: false },
    pooler: false,
  };
}

function checkLayerTypes(fields: Fields, layers: number): void {
  if (!fields.has("layer_types")) return;
  const known = ["full_attention", "sliding_attention"];
  const types = fields.list("layer_types");
  if (types.length === layers && types.every((type) => known.includes(type as string))) return;
  throw fields.unsupported("layer_types", `${layers} of ${known.map((type) => `"${type}"`).join(" and ")}`);
}

/** Token ids as all of Hugging Face's configurations name them. */
export function readIds(fields: Fields): { bos?: number; eos: readonly number[]; pad?: number } {
  const [bos] = fields.ids("bos_token_id");
  const [pad] = fields.ids("pad_token_id");
  return {
    ...(bos !== undefined && { bos }),
    eos: fields.ids("eos_token_id"),
    ...(pad !== undefined && { pad }),
  };
}

/**
 * Name of the embedding. Writers that keep one of two tied tensors may keep the output matrix: `safetensors.torch.save_model` takes the
 * first by the alphabet.
 *
 * @param own its name in most files
 */
export function embeddingName(own: string, { head }: ModelConfig, names: ReadonlySet<string>): string {
  const isTied = head.kind === "language" && head.tied;
  return isTied && !names.has(`${own}.weight`) && names.has("lm_head.weight") ? "lm_head" : own;
}

/** How the files of one format call the tensors of such a decoder. */
export interface DecoderNames {
  readonly embedding: string;
  readonly norm: string;
  readonly head: string;
  readonly layer: (
    layer: number,
    part: "q" | "k" | "v" | "out" | "gate" | "up" | "down" | "norm1" | "norm2" | "qNorm" | "kNorm",
  ) => string;
  /** Whether q and k are stored with neighbouring channels turning together (GGUF of llama and mistral). */
  readonly interleaved: boolean;
  readonly unused: readonly RegExp[];
}

const HUGGING_FACE = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  out: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  norm1: "input_layernorm",
  norm2: "post_attention_layernorm",
  qNorm: "self_attn.q_norm",
  kNorm: "self_attn.k_norm",
} as const;

function namesOf(config: ModelConfig, names: ReadonlySet<string>): DecoderNames {
  const { head } = config;
  const prefix = names.has("embed_tokens.weight") ? "" : "model.";
  return {
    embedding: embeddingName(`${prefix}embed_tokens`, config, names),
    norm: `${prefix}norm`,
    head: "lm_head",
    layer: (layer, part) => `${prefix}layers.${layer}.${HUGGING_FACE[part]}`,
    interleaved: false,
    // Old files hold the rotary frequencies; tied ones may hold the embedding twice.
    unused: [
      /rotary_emb\.inv_freq$/,
      ...(head.kind === "language" && head.tied ? [/^lm_head\.weight$/] : []),
    ],
  };
}

/** The tensors of a decoder under a format's names; GGUF writes the same ones. */
export function decoderTensors(config: ModelConfig, names: DecoderNames): TensorList {
  const { width, tokens, layers, head } = config;
  const list = new TensorList();
  list.unused.push(...names.unused);
  list.matrix("embedding", `${names.embedding}.weight`, tokens!.vocabulary, width);
  layers.forEach(({ attention, mlp }, index) => {
    const { heads, kvHeads, headDim, qkvBias, outBias } = attention;
    const name = (part: Parameters<DecoderNames["layer"]>[1]) => names.layer(index, part);
    const slot = `layers.${index}`;
    const turned = names.interleaved && { interleavedRows: headDim };
    list.norm(`${slot}.norm1`, name("norm1"), width, false);
    const qkv = [
      { name: name("q"), rows: heads * headDim, ...turned },
      { name: name("k"), rows: kvHeads * headDim, ...turned },
      { name: name("v"), rows: kvHeads * headDim },
    ];
    list.stackedLinear(`${slot}.qkv`, qkv, width, qkvBias);
    if ("headNormEps" in attention) {
      list.norm(`${slot}.qNorm`, name("qNorm"), headDim, false);
      list.norm(`${slot}.kNorm`, name("kNorm"), headDim, false);
    }
    list.linear(`${slot}.out`, name("out"), width, heads * headDim, outBias);
    list.norm(`${slot}.norm2`, name("norm2"), width, false);
    const gateUp = [
      { name: name("gate"), rows: mlp.hidden },
      { name: name("up"), rows: mlp.hidden },
    ];
    list.stackedLinear(`${slot}.gateUp`, gateUp, width, mlp.bias);
    list.linear(`${slot}.down`, name("down"), width, mlp.hidden, mlp.bias);
  });
  list.norm("norm", names.norm, width, false);
  if (head.kind === "language" && !head.tied) {
    list.linear("head", names.head, tokens!.vocabulary, width, head.bias);
  }
  return list;
}
