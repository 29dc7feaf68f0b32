import type { AttentionHook } from "webgpu-attention/hooks";
import type { LanguageModel, PrefillOptions } from "webgpu-attention/transformer";
import type { Progress } from "../common/worker-messages.js";
import { candidates, divergence, softmax } from "./distribution.js";
import type { HookChoice } from "./hook-kinds.js";
import type { KnownHooks } from "./hook-operations.js";
import type { Expected, Looked, Text } from "./write-tasks.js";

/** Logits at all places of a text, [tokens, vocabulary] each. */
interface Seen {
  readonly model: LanguageModel;
  readonly ids: readonly number[];
  readonly plain: Float32Array;
  readonly hooked?: Float32Array;
}

/** What a model expects at every place of a text, with hooks and without. */
export class LookingGlass {
  readonly #hooks: KnownHooks;
  #seen: Seen | undefined;

  constructor(hooks: KnownHooks) {
    this.#hooks = hooks;
  }

  /** @throws AttentionError as `LanguageModel.prefill` */
  async look(
    model: LanguageModel,
    { prompt, written }: Text,
    choices: readonly HookChoice[],
    signal: AbortSignal,
    onProgress: (progress: Progress) => void,
  ): Promise<Looked> {
    const opening = promptIds(model, prompt);
    const ids = [...opening, ...written];
    const known = this.#seen;
    const isKnown = known?.model === model && known.ids.join() === ids.join();
    const hooks = this.#hooks.of(choices);
    const total = (Number(!isKnown) + Number(hooks.length > 0)) * ids.length;
    let before = 0;
    const read = async (own: readonly AttentionHook[]) => {
      const onRead = (done: number) => onProgress({ done: before + done, total });
      const logits = await logitsOf(model, ids, { signal, hooks: own, onProgress: onRead });
      before += ids.length;
      return logits;
    };
    const plain = isKnown ? known.plain : await read([]);
    const hooked = hooks.length > 0 ? await read(hooks) : undefined;
    // What the page does not show must not be what it looks into.
    signal.throwIfAborted();
    this.#seen = { model, ids, plain, ...(hooked && { hooked }) };
    return {
      tokens: tokenTexts(model, ids),
      promptTokens: opening.length,
      ...(hooked && { shifts: this.#shifts(this.#seen) }),
    };
  }

  /** @throws Error before anything was looked at, or for a place that is not behind a token of it */
  expect(place: number, top: number): Expected {
    if (!this.#seen) throw new Error("Nothing was looked at yet.");
    const { model, ids } = this.#seen;
    if (!(place >= 1 && place <= ids.length)) throw new Error(`The text has no place ${place}.`);
    const [plain, hooked] = distributionsAt(this.#seen, place);
    const next = ids[place];
    return {
      candidates: candidates(plain, hooked, top).map(({ id, ...shares }) => ({
        ...{ text: textOf(model, id), isNext: id === next },
        ...shares,
      })),
      ...(hooked && { shift: divergence(plain, hooked) }),
    };
  }

  #shifts(seen: Seen): Float32Array {
    return Float32Array.from(seen.ids, (_, n) => {
      const [plain, hooked] = distributionsAt(seen, n + 1);
      return divergence(plain, hooked!);
    });
  }
}

/** Ids of a prompt; a text without any begins as texts do. */
export function promptIds({ tokenizer, config }: LanguageModel, prompt: string): number[] {
  if (!tokenizer) throw new Error("The model came without a tokenizer.json.");
  const ids = tokenizer.encode(prompt);
  const { bos } = config.tokens!;
  return ids.length === 0 && bos !== undefined ? [bos] : ids;
}

/**
 * Logits of the token after each, [tokens, vocabulary], read in pieces, between which it can be stopped. Where hooks look for sinks, the whole
 * text is one piece.
 */
async function logitsOf(
  model: LanguageModel,
  ids: readonly number[],
  options: PrefillOptions,
): Promise<Float32Array> {
  const state = await model.createState({ capacity: ids.length });
  try {
    return await model.prefill(state, ids, { ...options, logitsOf: "all" });
  } finally {
    state.destroy();
  }
}

function distributionsAt(
  { plain, hooked, ids }: Seen,
  place: number,
): [plain: Float64Array, hooked: Float64Array | undefined] {
  const vocabulary = plain.length / ids.length;
  const row = (logits: Float32Array) =>
    softmax(logits.subarray((place - 1) * vocabulary, place * vocabulary));
  return [row(plain), hooked && row(hooked)];
}

/** Texts that give the whole when put together: half a character waits for its other half. */
function tokenTexts({ tokenizer }: LanguageModel, ids: readonly number[]): string[] {
  const stream = tokenizer!.stream({ specialTokens: true });
  const texts = ids.map((id) => stream.push(id));
  texts[texts.length - 1] += stream.end();
  return texts;
}

function textOf({ tokenizer }: LanguageModel, id: number): string {
  const text = tokenizer!.decode([id], { specialTokens: true });
  return text === "" || text.includes("\ufffd") ? `⟨${id}⟩` : text;
}
