import type { Activation } from "webgpu-attention/layers";
import type { RopeConfig } from "./rope.js";

/**
 * What a model computes, whatever file described it: what the builder of a model reads. Sizes are in channels, tokens or entries.
 * `tools/train/README.md` of the repository has the equations of native models.
 */
export interface ModelConfig {
  /** As the file names it: `"llama"`, `"gpt2"`, `"native"`. */
  readonly architecture: string;
  /** Channels of the residual stream. */
  readonly width: number;
  /** Most tokens that it was trained on. */
  readonly context: number;
  readonly layers: readonly LayerConfig[];
  /** All norms of the model but those of heads. */
  readonly norm: NormConfig;
  /** `"before"`: x += part(norm(x)), and a norm after the last layer. `"after"`: x = norm(x + part(x)), and one after the embedding. */
  readonly normPlacement: "before" | "after";
  /** Present when it reads tokens. */
  readonly tokens?: TokensConfig;
  /** Present when it reads images. */
  readonly image?: ImageConfig;
  readonly positions: PositionsConfig;
  readonly head: HeadConfig;
  /** A tanh projection of the first token. */
  readonly pooler: boolean;
  /** Present for a diffusion transformer (adaLN-Zero). */
  readonly diffusion?: DiffusionConfig;
}

export interface NormConfig {
  /** `"rms"` and `"layer"` have learned scales (layer: and shifts) unless `learned` is false; `"srms"` is RMS without any. */
  readonly kind: "rms" | "layer" | "srms";
  readonly eps: number;
  readonly learned: boolean;
}

export interface TokensConfig {
  readonly vocabulary: number;
  /** Token types, where their embedding is added. */
  readonly types?: number;
  /** Factor of the embedding. */
  readonly embeddingScale: number;
  /** Begins every sequence. */
  readonly bos?: number;
  /** End a text. */
  readonly eos: readonly number[];
  readonly pad?: number;
}

export interface ImageConfig {
  /** Pixels of a side of the (square) image, and of a patch. */
  readonly size: number;
  readonly patch: number;
  readonly channels: number;
  /** Learned tokens before the patches: none, a class token, or a class and a distillation token. */
  readonly extraTokens: 0 | 1 | 2;
  /** A byte p of channel c becomes (p * rescale - mean[c]) / std[c]. */
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export type PositionsConfig =
  /** None added to the embedding (rotary, LRPE, decay, or none at all). */
  | { readonly kind: "none" }
  /** A learned row for each position. */
  | { readonly kind: "learned"; readonly count: number }
  /** scale * [sin(t r_i) | cos(t r_i)], r_i = base^(-i / (width / 2)). */
  | { readonly kind: "sinusoidal"; readonly base: number; readonly scale: number };

export type HeadConfig =
  | { readonly kind: "none" }
  /** Logits of the next token; tied: with the embedding as matrix. */
  | { readonly kind: "language"; readonly tied: boolean; readonly bias: boolean }
  /** Logits of masked tokens: dense, activation, norm, then the embedding as matrix, and a bias. */
  | { readonly kind: "masked-language"; readonly activation: Activation }
  /** Of the first token, or of its pooler; two heads (`distilled`) read the first two tokens, and their mean counts. */
  | {
      readonly kind: "classifier";
      readonly labels: readonly string[];
      readonly from: "first-token" | "pooler";
      readonly distilled: boolean;
    }
  /** Pixels of each patch. */
  | { readonly kind: "patches" };

export interface LayerConfig {
  readonly attention: AttentionConfig;
  readonly mlp: MlpConfig;
}

export interface MlpConfig {
  readonly hidden: number;
  readonly activation: Activation;
  /** down(activation(gate(x)) * up(x)) instead of down(activation(up(x))). */
  readonly gated: boolean;
  readonly bias: boolean;
}

export type AttentionConfig =
  | SoftmaxConfig
  | SaleConfig
  | MohConfig
  | LightningConfig
  | FlowConfig
  | AgentConfig;

/** What all mechanisms have: projections to q, k, v of heads, and back. */
interface HeadsConfig {
  readonly heads: number;
  /** Query head h reads key head floor(h * kvHeads / heads). */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly causal: boolean;
  /** Biases of q, k, v and of the output projection. */
  readonly qkvBias: boolean;
  readonly outBias: boolean;
}

interface ScoredConfig extends HeadsConfig {
  /** Factor of q . k, the attention factor of a rotary scaling not included. */
  readonly scale: number;
  readonly rope?: RopeConfig;
  /** Keys that a query sees, its own among them; absent: all (before it). */
  readonly window?: number;
  /** RMS norm of each head's q and k, with a weight each, before the rotation. */
  readonly headNormEps?: number;
}

export interface SoftmaxConfig extends ScoredConfig {
  readonly mechanism: "softmax";
}

/** Softmax attention whose prefill visits the blocks of keys that SALE selects. */
export interface SaleConfig extends ScoredConfig {
  readonly mechanism: "sale";
  /** One for each head. */
  readonly thresholds: readonly number[];
}

/** Mixture-of-head attention with the two-stage router. */
export interface MohConfig extends ScoredConfig {
  readonly mechanism: "moh";
  /** Heads 0 ... sharedHeads - 1 are on for every token, and topK of the others. */
  readonly sharedHeads: number;
  readonly topK: number;
}

/** TransNormerLLM's: causal linear attention with a decay, a norm over all channels of its output and a gate u. */
export interface LightningConfig extends HeadsConfig {
  readonly mechanism: "lightning";
  readonly scale: number;
  /** Of q and k. */
  readonly activation: Activation;
  /** Decay rate of each head. */
  readonly decay: readonly number[];
  /** Frequencies of LRPE in this layer: powers of a base, or learned ones that stand in `layers.L.lrpe`. */
  readonly lrpe?: { readonly base: number } | { readonly learned: true };
  readonly outputNormEps: number;
}

export interface FlowConfig extends HeadsConfig {
  readonly mechanism: "flow";
  readonly featureMap: "sigmoid";
  readonly variant: "core";
  readonly eps: number;
  /** Bound of the conserved source flow; null: none. */
  readonly clamp: number | null;
}

/** Agent attention over an image's patches, with learned biases and a depthwise convolution of v. */
export interface AgentConfig extends HeadsConfig {
  readonly mechanism: "agent";
  readonly scale: number;
  /** A square number: rows and columns of pooled queries. */
  readonly agents: number;
  /** Rows and columns of the learned biases before they are resized. */
  readonly biasGrid: number;
  readonly kernel: number;
}

export interface DiffusionConfig {
  readonly classes: number;
  /** The label that stands for none. */
  readonly noLabel: number;
  /** Features of time t in [0, 1]: [cos(a r_i) | sin(a r_i)], a = timeScale t, r_i = timeBase^(-i / (width / 2)). */
  readonly timeScale: number;
  readonly timeBase: number;
  readonly labels: readonly string[];
  readonly sampler: { readonly steps: number; readonly guidance: number };
}
