import { AttentionError } from "webgpu-attention";
import type { LanguageModel } from "../language-model.js";
import type { ChatMessage, ChatOptions } from "../tokenizer/chat-template.js";
import type { TextTokenizer } from "../tokenizer/text-tokenizer.js";

/** A text, token ids, or a conversation. */
export type Prompt = string | ArrayLike<number> | readonly ChatMessage[];

export interface EncodedPrompt {
  readonly ids: ArrayLike<number>;
  /** Whether what is written goes on with the prompt's text; the answer in a conversation begins one. */
  readonly goesOn: boolean;
}

/**
 * One prompt or several as ids.
 *
 * @throws AttentionError "shape" for what is no prompt or has no tokens, "unsupported" for texts without a tokenizer and conversations without a
 * chat template
 */
export function encodePrompts(
  model: LanguageModel,
  prompts: Prompt | readonly Prompt[],
  chat: ChatOptions | undefined,
): EncodedPrompt[] {
  const several = isPrompt(prompts) ? [prompts] : Array.from(prompts);
  return several.map((prompt, n) => {
    const encoded = encodePrompt(model, prompt, n, chat);
    model.checkIds(`prompt ${n}`, encoded.ids);
    return encoded;
  });
}

/** Ids of one sequence are numbers, a conversation's turns objects with a role; several prompts a list of texts or lists. */
function isPrompt(prompts: Prompt | readonly Prompt[]): prompts is Prompt {
  if (typeof prompts !== "object" || prompts === null || prompts.length === 0) return true;
  return typeof prompts[0] === "number" || isMessage(prompts[0]);
}

function isMessage(value: unknown): value is ChatMessage {
  return typeof value === "object" && value !== null && "role" in value;
}

function encodePrompt(
  model: LanguageModel,
  prompt: Prompt,
  n: number,
  chat: ChatOptions | undefined,
): EncodedPrompt {
  if (typeof prompt === "string") {
    const ids = tokenizerOf(model).encode(prompt);
    const { bos } = model.config.tokens!;
    return { ids: ids.length === 0 && bos !== undefined ? [bos] : ids, goesOn: true };
  }
  if (typeof prompt?.length !== "number")
    throw new AttentionError("shape", {
      subject: `prompt ${n}`,
      expected: "a text, a list of token ids, or a list of messages",
      ...{ got: String(prompt), fix: 'For example "Once", or [{ role: "user", content: "Hello" }].' },
    });
  return isMessage(prompt[0])
    ? { ids: tokenizerOf(model).encodeChat(prompt as readonly ChatMessage[], chat), goesOn: false }
    : { ids: prompt as ArrayLike<number>, goesOn: true };
}

function tokenizerOf({ tokenizer, tokenizerRefusal }: LanguageModel): TextTokenizer {
  if (tokenizer) return tokenizer;
  if (tokenizerRefusal) throw tokenizerRefusal;
  throw new AttentionError("unsupported", {
    subject: "prompt",
    expected: "token ids: the model came without a tokenizer.json",
    got: "a text",
    fix: "Place the tokenizer beside the weights, or encode the text yourself.",
  });
}
