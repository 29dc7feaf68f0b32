import { AttentionError } from "webgpu-attention";
import { checkKnown } from "../check-arguments.js";
import type { ModelConfig } from "../config/model-config.js";
import type { SequenceState } from "./sequence-state.js";

/** How a cache forgets: the first tokens stay, and the newest (StreamingLLM, arXiv 2309.17453). */
export interface CacheWindow {
  /** Tokens at the beginning that are kept. Default 4. */
  readonly sinks?: number;
  /** Newest tokens that are kept, at most. */
  readonly window: number;
  /** How many of the oldest of them go at a time, once there are so many. Default 1; more are fewer copies. */
  readonly evict?: number;
}

/** Tokens that a cache holds at most. */
export function windowCapacity({ sinks = 4, window }: CacheWindow): number {
  return sinks + window;
}

/** @throws AttentionError "shape" or "unsupported" */
export function checkWindow(cache: CacheWindow, { positions, layers }: ModelConfig): void {
  checkKnown("cache", cache, ["sinks", "window", "evict", "dtype"]);
  const { sinks = 4, window, evict = 1 } = cache;
  atLeast("cache.sinks", sinks, 0);
  atLeast("cache.window", window, 1);
  atLeast("cache.evict", evict, 1);
  if (evict > window) wrong("cache.evict", `at most the window of ${window}`, evict);
  const isTurned = layers.some(({ attention }) => attention.mechanism === "lightning" && attention.lrpe);
  if (positions.kind === "none" && !isTurned) return;
  throw new AttentionError("unsupported", {
    subject: "cache.window",
    expected: "a model whose positions are rotary or none, which can be counted in the cache",
    got: isTurned ? "LRPE" : `${positions.kind} positions`,
    fix: "Leave the window out.",
  });
}

function atLeast(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) wrong(name, `an integer of at least ${least}`, value);
}

function wrong(name: string, expected: string, got: number): never {
  const fix = "Leave it out for the default.";
  throw new AttentionError("shape", { subject: name, expected, got: String(got), fix });
}

/** Drops as many of each sequence's oldest tokens behind the sinks as `count` new ones need, at most the window. */
export function forget(
  state: SequenceState,
  encoder: GPUCommandEncoder,
  count: number,
  cache: CacheWindow,
): void {
  const { sinks = 4, evict = 1 } = cache;
  const counts = state.lengths.map((length) => {
    const excess = length + count - windowCapacity(cache);
    return excess > 0 ? Math.max(0, Math.min(Math.max(excess, evict), length - sinks)) : 0;
  });
  if (counts.some((dropped) => dropped > 0)) state.evict(encoder, sinks, counts);
}
