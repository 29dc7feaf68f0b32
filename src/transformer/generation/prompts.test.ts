import { expect, test } from "vitest";
import { AttentionError } from "webgpu-attention";
import type { LanguageModel } from "../language-model.js";
import { encodePrompts } from "./prompts.js";

const tokenizer = {
  encode: (text: string) => Array.from(text, (letter) => letter.charCodeAt(0)),
  encodeChat: (messages: readonly { content: string }[], options?: { addGenerationPrompt?: boolean }) => [
    7,
    messages.length,
    options?.addGenerationPrompt === false ? 0 : 1,
  ],
};
const promptIds = (...given: Parameters<typeof encodePrompts>) =>
  encodePrompts(...given).map(({ ids }) => ids);
const model = {
  tokenizer,
  config: { tokens: { bos: 3 } },
  checkIds: () => {},
} as unknown as LanguageModel;
const chat = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hello" },
];

test.each([
  ["a text", "ab", [[97, 98]]],
  ["an empty text, which begins as all do", "", [[3]]],
  ["texts", ["a", "b"], [[97], [98]]],
  ["ids", [4, 5], [[4, 5]]],
  ["ids of several", [Uint32Array.of(4), [5, 6]], [Uint32Array.of(4), [5, 6]]],
  ["a conversation", chat, [[7, 2, 1]]],
  ["conversations and texts", [chat, "a", chat.slice(1)], [[7, 2, 1], [97], [7, 1, 1]]],
])("%s", (_, prompts, expected) => {
  expect(promptIds(model, prompts as never, undefined)).toEqual(expected);
});

test("what is written goes on with a text, and answers a conversation", () => {
  const goOn = encodePrompts(model, [chat, "a", [4]], undefined).map(({ goesOn }) => goesOn);
  expect(goOn).toEqual([false, true, true]);
});

test("conversations are written as the caller says", () => {
  expect(promptIds(model, chat, { addGenerationPrompt: false })).toEqual([[7, 2, 0]]);
});

test("a text says what keeps the model's tokenizer from being read", () => {
  const missing = new AttentionError("unsupported", {
    ...{ subject: "tokenizer.json", expected: "the package", got: "none", fix: "Install it." },
  });
  const without = { ...model, tokenizer: undefined } as unknown as LanguageModel;
  expect(promptIds(without, [1, 2], undefined)).toEqual([[1, 2]]);
  expect(() => promptIds(without, "a", undefined)).toThrow(/token ids/);
  const refused = { ...without, tokenizerRefusal: missing } as unknown as LanguageModel;
  for (const prompt of ["a", chat]) expect(() => promptIds(refused, prompt, undefined)).toThrow(missing);
});
