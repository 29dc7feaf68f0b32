import type { LanguageModel } from "../language-model.js";
import { readTokens } from "../model/read-tokens.js";
import { roundedUp } from "../model/room.js";
import { SequenceState } from "../model/sequence-state.js";
import { hooksOfEntry } from "./entry-hooks.js";
import { type GenerateOptions, windowOf } from "./options.js";

/**
 * Reads all prompts but their last tokens, one after the other since their lengths differ, into the state that was given or a new one.
 *
 * @param capacity that the state has at least
 * @returns the sequences side by side
 */
export async function readPrompts(
  model: LanguageModel,
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
  capacity: number,
): Promise<SequenceState> {
  const { cache, state: given } = options;
  const dtype = given?.dtype ?? cache?.dtype ?? "f32";
  const read = reader(model, prompts, options);
  const create = (room: number) =>
    SequenceState.create(model.ctx, model.config, { batches: 1, capacity: room, dtype });
  if (prompts.length === 1) {
    const state = given ?? (await create(capacity));
    try {
      await state.grow(capacity);
      await read(state, 0);
      if (windowOf(options)) await state.prepareEviction();
      return state;
    } catch (error) {
      if (!given) state.destroy();
      throw error;
    }
  }
  const states: SequenceState[] = [];
  try {
    for (const [entry, { length }] of prompts.entries()) {
      const kept = given?.lengths[entry] ?? 0;
      const own = windowOf(options) ? Math.max(capacity, kept) : roundedUp(kept + length);
      states.push(
        given ? await SequenceState.joinAsTheyAre([{ state: given, entry }], own) : await create(own),
      );
      await read(states[entry]!, entry);
    }
    const side = states.map((state) => ({ state, entry: 0 }));
    const joined = await SequenceState.join(side, Math.max(capacity, given?.capacity ?? 0));
    if (given) given.become(joined);
    const state = given ?? joined;
    if (windowOf(options)) await state.prepareEviction();
    return state;
  } finally {
    for (const state of states) state.destroy();
  }
}

/** Reads a prompt into a state of its own, and says how far all are. */
function reader(
  model: LanguageModel,
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
): (state: SequenceState, entry: number) => Promise<void> {
  const { signal, onProgress, hooks = [] } = options;
  const total = prompts.reduce((sum, { length }) => sum + length - 1, 0);
  let done = 0;
  return async (state, entry) => {
    const ids = Array.from(prompts[entry]!).slice(0, -1);
    if (ids.length === 0) return;
    const window = windowOf(options);
    await readTokens(model, state, ids, {
      hooks: hooksOfEntry(model.config, hooks, entry, prompts.length),
      logitsOf: "none",
      ...(signal && { signal }),
      ...(window && { window }),
      onProgress: (read) => onProgress?.({ done: done + read, total }),
    });
    done += ids.length;
  };
}
