import { AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import type { SamplingOptions } from "webgpu-attention/layers";
import { checkKnown } from "../check-arguments.js";
import type { ModelConfig } from "../config/model-config.js";
import { type CacheWindow, checkWindow } from "../model/cache-window.js";
import type { CacheDType } from "../model/sequence-state.js";

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
  /** Look into passes and change them. Default none. */
  readonly hooks?: readonly AttentionHook[];
  /** Storage of keys and values, and which are kept: without `window` all are. */
  readonly cache?: CacheOptions;
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
  "signal",
  "onToken",
  "onProgress",
] as const satisfies readonly (keyof GenerateOptions)[];

/** @throws AttentionError "shape" or "unsupported" */
export function checkGenerate(options: GenerateOptions, config: ModelConfig): void {
  checkKnown("generate", options, OPTIONS);
  const { maxTokens = 128, cache, stop = [], stopIds = [], hooks = [] } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 1)
    throw wrong("maxTokens", "an integer of at least 1", maxTokens);
  const texts = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(texts) || texts.some((text) => typeof text !== "string"))
    throw wrong("stop", "a text, or a list of texts", stop);
  if (!Array.isArray(stopIds) || stopIds.some((id) => !Number.isInteger(id)))
    throw wrong("stopIds", "a list of token ids", stopIds);
  if (!Array.isArray(hooks)) throw wrong("hooks", "a list of hooks", hooks);
  const window = windowOf(options);
  if (window) checkWindow(window, config);
  else if (cache) checkKnown("cache without a window", cache, ["dtype", "window"]);
}

/** How the cache forgets, if it does. */
export function windowOf({ cache }: GenerateOptions): CacheWindow | undefined {
  return cache?.window === undefined ? undefined : { ...cache, window: cache.window };
}

function wrong(subject: string, expected: string, got: unknown): AttentionError {
  const fix = "Leave it out for the default.";
  return new AttentionError("shape", { subject, expected, got: String(got), fix });
}
