import { AttentionError } from "webgpu-attention";
import { checkKnown } from "../check-arguments.js";
import type { ModelConfig } from "../config/model-config.js";
import type { SequenceState } from "./sequence-state.js";

/**
 * How a cache forgets: the first tokens stay, and the newest (StreamingLLM, arXiv 2309.17453). A token sees the sinks and `window` tokens up
 * to itself, and at most `evict` - 1 older ones that have not been dropped yet; the same ones whether it is read alone or with others.
 */
export interface CacheWindow {
  /** Tokens at the beginning that are kept. Default 4. */
  readonly sinks?: number;
  /** Newest tokens that are kept at least, the one that is read among them. */
  readonly window: number;
  /** How many tokens gather beyond the window before they are dropped together. Default a quarter of the window; 1 drops one at each token, which moves the whole cache each time. */
  readonly evict?: number;
}

type Complete = Required<CacheWindow>;

function complete({ sinks = 4, window, evict = Math.max(1, Math.floor(window / 4)) }: CacheWindow): Complete {
  return { sinks, window, evict };
}

/** Tokens that a cache holds at most. */
export function windowCapacity(cache: CacheWindow): number {
  const { sinks, window, evict } = complete(cache);
  return sinks + window - 1 + evict;
}

/** @throws AttentionError "shape" or "unsupported" */
export function checkWindow(cache: CacheWindow, { positions }: ModelConfig): void {
  checkKnown("cache window", cache, ["sinks", "window", "evict"]);
  const { sinks, window, evict } = complete(cache);
  atLeast("window", window, 1);
  atLeast("sinks", sinks, 0);
  atLeast("evict", evict, 1);
  if (evict > window) wrong("evict", `at most the window of ${window}`, evict);
  if (positions.kind !== "learned") return;
  throw new AttentionError("unsupported", {
    subject: "cache window",
    expected: "a model that has positions for texts of any length",
    got: `${positions.count} learned positions`,
    fix: "Leave the window out.",
  });
}

/** How many tokens fit until something has to be dropped; where sequences are full, once that has been done. */
export function roomIn({ lengths }: Pick<SequenceState, "lengths">, cache: CacheWindow): number {
  const room = windowCapacity(cache) - Math.max(...lengths);
  return room > 0 ? room : complete(cache).evict;
}

/** Drops tokens behind the sinks of sequences that have no room for another one. */
export function forget(state: SequenceState, encoder: GPUCommandEncoder, cache: CacheWindow): void {
  const { sinks, window } = complete(cache);
  const counts = state.lengths.map((length) =>
    length < windowCapacity(cache) ? 0 : length - (sinks + window - 1),
  );
  if (counts.some((dropped) => dropped > 0)) state.evict(encoder, sinks, counts);
}

function atLeast(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least) wrong(name, `an integer of at least ${least}`, value);
}

function wrong(name: string, expected: string, got: number): never {
  const fix = "Leave it out for the default.";
  throw new AttentionError("shape", { subject: `cache.${name}`, expected, got: String(got), fix });
}
