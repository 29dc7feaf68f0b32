import { AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import type { SamplingOptions } from "webgpu-attention/layers";
import { checkHooks, checkKnown } from "../check-arguments.js";
import type { ModelConfig } from "../config/model-config.js";
import { type CacheWindow, checkWindow } from "../model/cache-window.js";
import { type CacheDType, checkCacheDType } from "../model/layer-state.js";
import type { SequenceState } from "../model/sequence-state.js";
import type { ChatOptions } from "../tokenizer/chat-template.js";
import type { Candidate } from "./candidates.js";

export interface CacheOptions extends Partial<CacheWindow> {
  /** How keys and values are stored. Default f32. */
  readonly dtype?: CacheDType;
}

export interface GenerateOptions {
  /** Tokens that are written for each prompt at most. Default 128. */
  readonly maxTokens?: number;
  /** How tokens are chosen. Default greedy. */
  readonly sampling?: SamplingOptions;
  /** Texts that end a sequence; they are not part of it. */
  readonly stop?: string | readonly string[];
  /** Ids that end a sequence. Default the model's own. */
  readonly stopIds?: readonly number[];
  /** Look into passes and change them. Default none. Lists of operations for each batch entry go with the prompts. */
  readonly hooks?: readonly AttentionHook[];
  /** Storage of keys and values, and which are kept: without `window` all are. */
  readonly cache?: CacheOptions;
  /**
   * What the prompts continue: a state of as many sequences. It is written on, and in the end has read all but the last token of each sequence's
   * pieces, with which a further prompt begins; it grows as it has to. A `copy()` taken before is what to come back to. Default an empty one.
   */
  readonly state?: SequenceState;
  /** How many of the likeliest tokens come with each piece. Default 0: logits stay on the GPU. */
  readonly candidates?: number;
  /** How conversations are written. */
  readonly chat?: ChatOptions;
  readonly signal?: AbortSignal;
  /** Called for each piece before the iterator gives it. */
  readonly onToken?: (piece: GeneratedPiece) => void;
  /** Called as prompts are read. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
}

/** A token that a sequence got, and the text that is certain by it. */
export interface GeneratedPiece {
  /** Which prompt it continues. */
  readonly sequence: number;
  readonly id: number;
  /** May be empty: half a character, or what could become a stop text, waits. */
  readonly text: string;
  /** The likeliest tokens in its place, where they were asked for: the likeliest first. */
  readonly candidates?: readonly Candidate[];
  /** Why the sequence ends with it: an end id or stop text, or `maxTokens`. */
  readonly finished?: "stop" | "length";
}

const OPTIONS = [
  "maxTokens",
  "sampling",
  "stop",
  "stopIds",
  "hooks",
  "cache",
  "state",
  "candidates",
  "chat",
  "signal",
  "onToken",
  "onProgress",
] as const satisfies readonly (keyof GenerateOptions)[];

const SAMPLING = [
  "repetitionPenalty",
  "repetitionWindow",
  "temperature",
  "topK",
  "topP",
  "minP",
  "seed",
] as const satisfies readonly (keyof SamplingOptions)[];

/** @throws AttentionError "shape", "dtype" or "unsupported" */
export function checkGenerate(options: GenerateOptions, config: ModelConfig, prompts: number): void {
  checkKnown("generate", options, OPTIONS);
  const { maxTokens = 128, cache, stop = [], stopIds = [], hooks = [], state, candidates = 0 } = options;
  atLeast("maxTokens", maxTokens, 1);
  atLeast("candidates", candidates, 0);
  checkKnown("sampling", options.sampling ?? {}, SAMPLING);
  const texts = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== "string"))
    throw wrong("stop", "a text, or a list of texts", stop);
  if (!Array.isArray(stopIds) || stopIds.some((id) => !Number.isInteger(id)))
    throw wrong("stopIds", "a list of token ids", stopIds);
  checkHooks(hooks);
  checkCacheDType(cache?.dtype ?? state?.dtype ?? "f32", config);
  const window = windowOf(options);
  if (window) checkWindow(window, config);
  else if (cache) checkKnown("cache without a window", cache, ["dtype", "window"]);
  if (state && state.batches !== prompts)
    throw wrong("state", `${prompts} sequences, one for each prompt`, state.batches);
  if (state && (cache?.dtype ?? state.dtype) !== state.dtype)
    throw wrong("cache.dtype", `that of the state, ${state.dtype}`, cache?.dtype);
}

/** How the cache forgets, if it does. */
export function windowOf({ cache }: GenerateOptions): CacheWindow | undefined {
  if (cache?.window === undefined) return undefined;
  const { dtype: _, window, ...rest } = cache;
  return { ...rest, window };
}

function atLeast(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) throw wrong(name, `an integer of at least ${least}`, value);
}

function wrong(subject: string, expected: string, got: unknown): AttentionError {
  const fix = "Leave it out for the default.";
  return new AttentionError("shape", { subject, expected, got: String(got), fix });
}
