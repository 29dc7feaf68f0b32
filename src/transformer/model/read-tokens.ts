import { AttentionError, type TensorView } from "webgpu-attention";
import type { AttentionHook } from "webgpu-attention/hooks";
import type { LanguageModel } from "../language-model.js";
import { throwIfAborted } from "../sources/source-errors.js";
import { type CacheWindow, forget, roomIn, windowCapacity } from "./cache-window.js";
import type { PassShape } from "./language-passes.js";
import { checkPositions, checkRoom } from "./room.js";
import type { SequenceState } from "./sequence-state.js";
import { sinksMove } from "./sink-memory.js";
import { sinkSearches } from "./sink-search.js";

/** Of which tokens that are read logits are wanted. */
export type LogitsOf = "none" | "last" | "all";

export interface ReadOptions {
  readonly hooks: readonly AttentionHook[];
  readonly logitsOf: LogitsOf;
  readonly window?: CacheWindow;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** "decode": what goes on with a text as tokens that are written do. Default "prefill". */
  readonly phase?: PassShape["phase"];
}

/** Tokens that one pass takes at most: longer texts go through in pieces, so that buffers stay small and dispatches short. */
const PIECE = 128;

/**
 * Takes ids into a state of one sequence, in pieces of powers of two, which need few compiled passes. Where a cache forgets, a piece ends where
 * something is dropped next, so that each token sees the same ones as if it were read alone.
 *
 * @returns [rows, vocabulary]
 */
export async function readTokens(
  model: LanguageModel,
  state: SequenceState,
  ids: ArrayLike<number>,
  { hooks, logitsOf, window, signal, onProgress, phase = "prefill" }: ReadOptions,
): Promise<Float32Array> {
  if (state.batches !== 1) throw severalSequences(state.batches);
  const { ctx, passes, config } = model;
  const all = Uint32Array.from(ids);
  const total = state.totals[0]! + all.length;
  checkPositions(config, total);
  const looks = sinkSearches(config, hooks, { tokens: all.length, phases: [phase] }).length > 0;
  if (window && looks) throw sinksMove();
  if (window) {
    await state.grow(windowCapacity(window));
    await state.prepareEviction();
  } else checkRoom({ lengths: [state.lengths[0]! + all.length], capacity: state.capacity });
  // Keys are turned when they are read, by what is kept of the text in the end.
  const context = Math.min(state.lengths[0]! + all.length, window ? windowCapacity(window) : total);
  const { vocabulary } = config.tokens!;
  const rows = { none: 0, last: 1, all: all.length }[logitsOf];
  const logits = rows > 0 ? ctx.empty([1, rows, 1, vocabulary]) : undefined;
  try {
    for (let done = 0; done < all.length; ) {
      throwIfAborted("prefill", signal);
      const rest = all.length - done;
      const isWhole = phase === "prefill" && isReadAtOnce(model, state, rest, { window, looks });
      const tokens = isWhole ? rest : pieceOf(Math.min(rest, window ? roomIn(state, window) : rest));
      const isLast = tokens === rest;
      const lease = await passes.lease(
        {
          ...{ tokens, hooks, phase, isWhole, context, total },
          logitsOf: logitsOf === "last" && !isLast ? "none" : logitsOf,
        },
        state,
      );
      const { value: pass, release } = lease;
      try {
        await passes.run(pass, state, {
          before: (encoder) => {
            ctx.device.queue.writeBuffer(pass.ids, 0, all, done, tokens);
            if (window) forget(state, encoder, window);
          },
          after: (encoder) => {
            const found = pass.forward.logits;
            if (logits && found) keepRows(encoder, found, logits, logitsOf === "all" ? done : 0);
          },
        });
      } finally {
        release();
      }
      done += tokens;
      // What is reported as done is, and a signal stops what comes.
      await ctx.device.queue.onSubmittedWorkDone();
      onProgress?.(done, all.length);
    }
    return logits ? await ctx.read(logits) : new Float32Array();
  } finally {
    logits?.buffer.destroy();
  }
}

/** SALE selects keys by means over the whole prompt, and hooks that look for sinks do so in all of it. */
function isReadAtOnce(
  { config }: LanguageModel,
  state: SequenceState,
  tokens: number,
  { window, looks }: { readonly window: CacheWindow | undefined; readonly looks: boolean },
): boolean {
  const hasSale = config.layers.some(({ attention }) => attention.mechanism === "sale");
  return (hasSale || looks) && state.totals[0] === 0 && (!window || tokens <= windowCapacity(window));
}

function pieceOf(tokens: number): number {
  return Math.min(PIECE, 2 ** Math.floor(Math.log2(tokens)));
}

function keepRows(encoder: GPUCommandEncoder, from: TensorView, to: TensorView, row: number): void {
  const bytes = 4 * from.shape[3];
  encoder.copyBufferToBuffer(from.buffer, 0, to.buffer, row * bytes, from.shape[1] * bytes);
}

function severalSequences(count: number): AttentionError {
  return new AttentionError("shape", {
    subject: "state",
    expected: "one sequence",
    got: `${count}`,
    fix: "Read prompts into states of their own, and join these.",
  });
}
