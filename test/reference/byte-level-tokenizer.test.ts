import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, test } from "vitest";
import samples from "../fixtures/tokenizer/samples.json" with { type: "json" };
import tokenizerJson from "../fixtures/tokenizer/tokenizer.json" with { type: "json" };

/** tools/train trains this tokenizer and wrote the ids, with its own encoder. */
describe("the language models' tokenizer", () => {
  const tokenizer = new Tokenizer(tokenizerJson, {});

  test.each(samples)("gives the ids of training: $text", ({ text, ids }) => {
    expect(tokenizer.encode(text, { add_special_tokens: false }).ids).toEqual(ids);
  });

  test.each(samples)("gives the text back: $text", ({ text, ids }) => {
    const decoded = ids.length === 0 ? "" : tokenizer.decode(ids, { clean_up_tokenization_spaces: false });
    expect(decoded).toBe(text);
  });

  test("opens a sequence with the begin token", () => {
    expect(tokenizer.encode("Emma").ids[0]).toBe(0);
    expect(tokenizer.token_to_id("<|begin|>")).toBe(0);
  });
});
