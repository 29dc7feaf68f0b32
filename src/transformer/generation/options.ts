import { AttentionError } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import type { SamplingOptions } from "webgpu-attention/layers";
import { checkKnown } from "../check-arguments.js";
import type { CacheDType } from "../model/sequence-state.js";

/** How a cache forgets: the first tokens stay, and the newest (StreamingLLM, arXiv 2309.17453). */
export interface CacheWindow {
  /** Tokens at the beginning that are kept. Default 4. */
  readonly sinks?: number;
  /** Newest tokens that are kept, at most. */
  readonly window: number;
  /** How many of the oldest of them go at a time, once there are so many. Default 1; more are fewer copies. */
  readonly evict?: number;
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
  /** Default: all tokens are kept. */
  readonly cache?: CacheWindow & { readonly dtype?: CacheDType };
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
export function checkGenerate(options: GenerateOptions): void {
  checkKnown("generate", options, OPTIONS);
  const { maxTokens = 128, cache } = options;
  atLeast("maxTokens", maxTokens, 1);
  if (!cache) return;
  checkKnown("cache", cache, ["sinks", "window", "evict", "dtype"]);
  const { sinks = 4, window, evict = 1 } = cache;
  atLeast("cache.sinks", sinks, 0);
  atLeast("cache.window", window, 1);
  atLeast("cache.evict", evict, 1);
  if (evict > window) wrong("cache.evict", `at most the window of ${window}`, evict);
}

function atLeast(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) wrong(name, `an integer of at least ${least}`, value);
}

function wrong(name: string, expected: string, got: number): never {
  const fix = "Leave it out for the default.";
  throw new AttentionError("shape", { subject: name, expected, got: String(got), fix });
}
