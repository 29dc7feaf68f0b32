import { AttentionError } from "webgpu-attention";
import type { ModelConfig } from "./model-config.js";

/** Rotary position embedding of q and k. */
export interface RopeConfig {
  /** Channels of a head that turn, from the first on: an even number. */
  readonly dim: number;
  readonly theta: number;
  /** Whether a channel turns with its neighbour instead of with the one dim / 2 further. */
  readonly interleaved: boolean;
  readonly scaling: RopeScaling;
}

/** How frequencies are changed for contexts longer than the trained one. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  /** The base grows with the sequence once that is longer than the trained one (NTK-aware scaling). */
  | { readonly kind: "dynamic"; readonly factor: number; readonly original: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly original: number;
    }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly truncate: boolean;
      readonly attentionFactor: number;
    }
  | {
      readonly kind: "longrope";
      /** Divisors of the frequencies, one for each pair, up to `original` tokens and beyond. */
      readonly short: readonly number[];
      readonly long: readonly number[];
      readonly original: number;
      readonly attentionFactor: number;
    }
  /** Divisors of the frequencies that a file gives (GGUF). */
  | { readonly kind: "factors"; readonly factors: readonly number[] };

/**
 * What a model's tables depend on, where a sequence has so many tokens: the same number for lengths that have the same tables, 0 where all
 * have.
 */
export function ropeContext({ layers }: Pick<ModelConfig, "layers">, tokens: number): number {
  return layers.reduce((most, { attention }) => {
    const scaling = "rope" in attention ? attention.rope?.scaling : undefined;
    if (scaling?.kind === "dynamic") return Math.max(most, tokens, scaling.original);
    if (scaling?.kind === "longrope")
      return Math.max(most, scaling.original + Number(tokens > scaling.original));
    return most;
  }, 0);
}

export interface RopeTable {
  /** Radians a token of each pair of channels, [dim / 2]. */
  readonly frequencies: Float64Array;
  /** Rotated q and k are both multiplied by it: the scale of scores by its square. */
  readonly attentionFactor: number;
}

/** Whether the table changes with the length of the sequence; if not, one serves all. */
export function ropeDependsOnLength({ scaling: { kind } }: RopeConfig): boolean {
  return kind === "dynamic" || kind === "longrope";
}

/**
 * Frequencies for a sequence of `tokens` (of all of it, when the cache holds a part), in float64, as huggingface/transformers'
 * `modeling_rope_utils.py` defines them: RoPE (arXiv 2104.09864), NTK-aware dynamic scaling, Llama 3's, YaRN (2309.00071),
 * LongRoPE (2402.13753).
 */
export function ropeTable(rope: RopeConfig, tokens: number): RopeTable {
  const { scaling, theta, dim } = rope;
  const plain = frequencies(theta, dim);
  switch (scaling.kind) {
    case "none":
      return { frequencies: plain, attentionFactor: 1 };
    case "linear":
      return { frequencies: plain.map((rate) => rate / scaling.factor), attentionFactor: 1 };
    case "dynamic": {
      const { factor, original } = scaling;
      const stretch = (factor * Math.max(tokens, original)) / original - (factor - 1);
      return { frequencies: frequencies(theta * stretch ** (dim / (dim - 2)), dim), attentionFactor: 1 };
    }
    case "llama3": {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, original } = scaling;
      const slowed = plain.map((rate) => {
        const turns = (original * rate) / (2 * Math.PI);
        return blend(rate, rate / factor, (turns - low) / (high - low));
      });
      return { frequencies: slowed, attentionFactor: 1 };
    }
    case "yarn":
      return {
        frequencies: yarnFrequencies(plain, theta, scaling),
        attentionFactor: scaling.attentionFactor,
      };
    case "longrope": {
      const divisors = tokens > scaling.original ? scaling.long : scaling.short;
      const slowed = plain.map((rate, pair) => rate / divisors[pair]!);
      return { frequencies: slowed, attentionFactor: scaling.attentionFactor };
    }
    case "factors": {
      const slowed = plain.map((rate, pair) => rate / scaling.factors[pair]!);
      return { frequencies: slowed, attentionFactor: 1 };
    }
  }
}

function frequencies(theta: number, dim: number): Float64Array {
  return Float64Array.from({ length: dim / 2 }, (_, pair) => theta ** ((-2 * pair) / dim));
}

/** `fast` where `share` is 1 or more, `slow` where it is 0 or less. */
function blend(fast: number, slow: number, share: number): number {
  const kept = Math.min(Math.max(share, 0), 1);
  return fast * kept + slow * (1 - kept);
}

/** Pairs that turn often within the original context stay, those that turn less than once are slowed; a ramp is between. */
function yarnFrequencies(
  plain: Float64Array,
  theta: number,
  { factor, original, betaFast, betaSlow, truncate }: RopeScaling & { readonly kind: "yarn" },
): Float64Array {
  const dim = 2 * plain.length;
  const pairWith = (turns: number) =>
    (dim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [pairWith(betaFast), pairWith(betaSlow)];
  const begin = Math.max(truncate ? Math.floor(first) : first, 0);
  const end = Math.min(truncate ? Math.ceil(last) : last, dim - 1);
  const width = end - begin || 0.001;
  return plain.map((rate, pair) => blend(rate, rate / factor, 1 - (pair - begin) / width));
}

/** @throws AttentionError "format" when a file's divisors do not fit */
export function withRopeFactors(rope: RopeConfig, name: string, factors: ArrayLike<number>): RopeConfig {
  const list = Array.from(factors);
  if (list.length === rope.dim / 2 && list.every((value) => value > 0 && Number.isFinite(value))) {
    return { ...rope, scaling: { kind: "factors", factors: list } };
  }
  throw new AttentionError("format", {
    subject: name,
    expected: `${rope.dim / 2} numbers above 0`,
    got: `${list.length} numbers${list.length === rope.dim / 2 ? ", not all above 0" : ""}`,
    fix: "The file is damaged; download or convert it again.",
  });
}
