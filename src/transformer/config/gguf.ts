import { AttentionError } from "webgpu-attention";
import { show } from "../show.js";
import type { Architecture } from "./architecture.js";
import { type DecoderNames, decoderTensors } from "./decoder.js";
import type { Fields } from "./fields.js";
import type { LayerConfig, ModelConfig, NormConfig, TokensConfig } from "./model-config.js";
import { type RopeConfig, type RopeScaling, withRopeFactors } from "./rope.js";
import { TensorList } from "./tensor-list.js";

/** What a GGUF file says beside its pairs: which tensors it has, and the values of small ones. */
export interface GgufContents {
  readonly names: ReadonlySet<string>;
  /** Rows of the embedding. */
  readonly vocabulary: number | undefined;
  /** Divisors of the rotary frequencies, by the names of their tensors, as far as there are such. */
  readonly ropeFactors: ReadonlyMap<string, ArrayLike<number>>;
}

/** Tensors whose values belong to the configuration. */
export const GGUF_ROPE_FACTORS = [
  "rope_freqs.weight",
  "rope_factors_long.weight",
  "rope_factors_short.weight",
];

const ARCHITECTURES = ["llama", "qwen2", "qwen3", "gpt2"] as const;
type GgufArchitecture = (typeof ARCHITECTURES)[number];

/** Factors of some architectures' models that those listed here do not have; a file that sets them is another model. */
const REFUSED = [
  "attention.clamp_kqv",
  "attention.scale",
  "embedding_scale",
  "logit_scale",
  "residual_scale",
  "final_logit_softcapping",
];

/**
 * How a GGUF file of llama (Mistral, SmolLM), qwen2, qwen3 or gpt2 is to be read.
 *
 * @throws AttentionError "unsupported" for another architecture, "format"
 */
export function ggufArchitecture(fields: Fields, contents: GgufContents): Architecture {
  const name = fields.string("general.architecture");
  if (!ARCHITECTURES.includes(name as GgufArchitecture)) {
    throw new AttentionError("unsupported", {
      subject: `${fields.file} general.architecture`,
      expected: ARCHITECTURES.join(", "),
      got: show(name),
      fix: "docs/models.md lists what GGUF files can hold here.",
    });
  }
  if (fields.size("split.count", 1) > 1) throw fields.unsupported("split.count", "1: a model in one file");
  for (const key of REFUSED) fields.refuse(`${name}.${key}`, []);
  fields.refuse(`${name}.expert_count`, [0]);
  fields.refuse(`${name}.attention.causal`, [true]);
  return name === "gpt2"
    ? { config: () => readGpt2(fields, contents), tensors: gpt2Tensors }
    : {
        config: () => readDecoder(fields, name as GgufArchitecture, contents),
        tensors: (config) => decoderTensors(config, decoderNames(name)),
      };
}

/** What all architectures say alike. */
function readSizes(fields: Fields, name: string) {
  const key = (part: string) => `${name}.${part}`;
  const width = fields.size(key("embedding_length"));
  const heads = fields.heads(key("attention.head_count"));
  const kvHeads = fields.heads(key("attention.head_count_kv"), heads);
  if (heads % kvHeads !== 0)
    throw fields.wrong(key("attention.head_count_kv"), `a divisor of the ${heads} heads`);
  if (!fields.has(key("attention.key_length")) && width % heads !== 0) {
    throw fields.wrong(key("attention.head_count"), `a divisor of the width ${width}`);
  }
  const headDim = fields.size(key("attention.key_length"), Math.floor(width / heads));
  if (fields.size(key("attention.value_length"), headDim) !== headDim) {
    throw fields.unsupported(key("attention.value_length"), `${headDim}, as attention.key_length`);
  }
  return {
    ...{ key, width, heads, kvHeads, headDim },
    layers: fields.layers(key("block_count")),
    context: fields.size(key("context_length")),
    hidden: fields.size(key("feed_forward_length")),
  };
}

function readDecoder(fields: Fields, name: GgufArchitecture, contents: GgufContents): ModelConfig {
  const { key, width, heads, kvHeads, headDim, layers, context, hidden } = readSizes(fields, name);
  const { names } = contents;
  const norm: NormConfig = {
    ...{ kind: "rms", learned: true },
    eps: fields.positive(key("attention.layer_norm_rms_epsilon"), 1e-6),
  };
  const windowed = fields.has(key("attention.sliding_window"));
  const layer: LayerConfig = {
    attention: {
      ...{ mechanism: "softmax", heads, kvHeads, headDim, causal: true, scale: headDim ** -0.5 },
      qkvBias: names.has("blk.0.attn_q.bias"),
      outBias: names.has("blk.0.attn_output.bias"),
      rope: readRope(fields, key, { headDim, context }, contents),
      ...(windowed && { window: fields.size(key("attention.sliding_window")) }),
      ...(name === "qwen3" && { headNormEps: norm.eps }),
    },
    mlp: { hidden, activation: "silu", gated: true, bias: names.has("blk.0.ffn_gate.bias") },
  };
  return {
    ...{ architecture: name, width, context, norm, normPlacement: "before" },
    layers: Array.from({ length: layers }, () => layer),
    tokens: readTokens(fields, name, contents),
    positions: { kind: "none" },
    head: { kind: "language", tied: !names.has("output.weight"), bias: false },
    pooler: false,
  };
}

function readTokens(fields: Fields, name: string, { vocabulary }: GgufContents): TokensConfig {
  const listed = fields.has("tokenizer.ggml.tokens")
    ? fields.list("tokenizer.ggml.tokens").length
    : vocabulary;
  const [bos] = fields.ids("tokenizer.ggml.bos_token_id");
  const [pad] = fields.ids("tokenizer.ggml.padding_token_id");
  const eos = ["eos", "eot"].flatMap((kind) => fields.ids(`tokenizer.ggml.${kind}_token_id`));
  return {
    vocabulary: fields.size(`${name}.vocab_size`, listed),
    embeddingScale: 1,
    ...(bos !== undefined && { bos }),
    eos: [...new Set(eos)],
    ...(pad !== undefined && { pad }),
  };
}

type Key = (part: string) => string;

function readRope(
  fields: Fields,
  key: Key,
  { headDim, context }: { headDim: number; context: number },
  { ropeFactors }: GgufContents,
): RopeConfig {
  const dim = fields.size(key("rope.dimension_count"), headDim);
  if (dim > headDim || dim % 2 !== 0) {
    throw fields.wrong(key("rope.dimension_count"), `an even number up to ${headDim}`);
  }
  const theta = fields.positive(key("rope.freq_base"), 10_000);
  const scaling = readScaling(fields, key, context, ropeFactors);
  const rope: RopeConfig = { dim, theta, interleaved: false, scaling };
  const own = ropeFactors.get("rope_freqs.weight");
  if (own && scaling.kind !== "none") {
    throw fields.unsupported(key("rope.scaling.type"), "none, beside the tensor rope_freqs.weight");
  }
  return own ? withRopeFactors(rope, "rope_freqs.weight", own) : rope;
}

function readScaling(
  fields: Fields,
  key: Key,
  context: number,
  ropeFactors: GgufContents["ropeFactors"],
): RopeScaling {
  const factor = () => fields.positive(key("rope.scaling.factor"));
  const original = fields.size(key("rope.scaling.original_context_length"), context);
  const kind = fields.choice(key("rope.scaling.type"), ["none", "linear", "yarn", "longrope"], "none");
  switch (kind) {
    case "none":
      return fields.has(key("rope.scale_linear"))
        ? { kind: "linear", factor: fields.positive(key("rope.scale_linear")) }
        : { kind };
    case "linear":
      return { kind, factor: factor() };
    case "yarn": {
      const magnitude = factor() <= 1 ? 1 : 0.1 * Math.log(factor()) + 1;
      return {
        ...{ kind, factor: factor(), original, truncate: true },
        betaFast: fields.positive(key("rope.scaling.yarn_beta_fast"), 32),
        betaSlow: fields.positive(key("rope.scaling.yarn_beta_slow"), 1),
        attentionFactor: magnitude * fields.positive(key("rope.scaling.attn_factor"), 1),
      };
    }
    case "longrope": {
      const [long, short] = ["long", "short"].map((length) =>
        ropeFactors.get(`rope_factors_${length}.weight`),
      );
      if (!long || !short)
        throw fields.wrong(key("rope.scaling.type"), "rope_factors_long and _short tensors beside it");
      const published =
        context > original ? Math.sqrt(1 + Math.log(context / original) / Math.log(original)) : 1;
      return {
        ...{ kind, long: Array.from(long), short: Array.from(short), original },
        attentionFactor: fields.positive(key("rope.scaling.attn_factor"), published),
      };
    }
  }
}

const DECODER_PARTS = {
  q: "attn_q",
  k: "attn_k",
  v: "attn_v",
  out: "attn_output",
  gate: "ffn_gate",
  up: "ffn_up",
  down: "ffn_down",
  norm1: "attn_norm",
  norm2: "ffn_norm",
  qNorm: "attn_q_norm",
  kNorm: "attn_k_norm",
} as const;

function decoderNames(name: string): DecoderNames {
  return {
    embedding: "token_embd",
    norm: "output_norm",
    head: "output",
    layer: (layer, part) => `blk.${layer}.${DECODER_PARTS[part]}`,
    // Converters order q and k of llama so that neighbouring channels turn together.
    interleaved: name === "llama",
    unused: [/^rope_(freqs|factors_(long|short))\.weight$/, /\.rotary_emb\.inv_freq$/, /\.attn_rot_embd$/],
  };
}

function readGpt2(fields: Fields, contents: GgufContents): ModelConfig {
  const { key, width, heads, kvHeads, headDim, layers, context, hidden } = readSizes(fields, "gpt2");
  if (kvHeads !== heads || heads * headDim !== width) {
    throw fields.unsupported(
      key("attention.head_count_kv"),
      "as many heads of keys as of queries, over the width",
    );
  }
  const layer: LayerConfig = {
    attention: {
      ...{ mechanism: "softmax", heads, kvHeads, headDim, causal: true, scale: headDim ** -0.5 },
      ...{ qkvBias: true, outBias: true },
    },
    mlp: { hidden, activation: "gelu", gated: false, bias: true },
  };
  return {
    ...{ architecture: "gpt2", width, context, normPlacement: "before" },
    layers: Array.from({ length: layers }, () => layer),
    norm: { kind: "layer", eps: fields.positive(key("attention.layer_norm_epsilon"), 1e-5), learned: true },
    tokens: readTokens(fields, "gpt2", contents),
    positions: { kind: "learned", count: context },
    head: { kind: "language", tied: !contents.names.has("output.weight"), bias: false },
    pooler: false,
  };
}

function gpt2Tensors({ width, tokens, context, layers, head }: ModelConfig): TensorList {
  const list = new TensorList();
  list.matrix("embedding", "token_embd.weight", tokens!.vocabulary, width);
  list.table("positions", "position_embd.weight", context, width);
  layers.forEach(({ mlp }, index) => {
    const [slot, name] = [`layers.${index}`, `blk.${index}`];
    list.norm(`${slot}.norm1`, `${name}.attn_norm`, width, true);
    list.linear(`${slot}.qkv`, `${name}.attn_qkv`, 3 * width, width, true);
    list.linear(`${slot}.out`, `${name}.attn_output`, width, width, true);
    list.norm(`${slot}.norm2`, `${name}.ffn_norm`, width, true);
    list.linear(`${slot}.up`, `${name}.ffn_up`, mlp.hidden, width, true);
    list.linear(`${slot}.down`, `${name}.ffn_down`, width, mlp.hidden, true);
  });
  list.norm("norm", "output_norm", width, true);
  if (head.kind === "language" && !head.tied) list.matrix("head", "output.weight", tokens!.vocabulary, width);
  return list;
}
