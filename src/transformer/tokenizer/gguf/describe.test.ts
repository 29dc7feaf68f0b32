import { describe, expect, test } from "vitest";
import fixture from "../../../../test/fixtures/tokenizer/gguf.json" with { type: "json" };
import published from "../../../../test/fixtures/tokenizer/tokenizer.json" with { type: "json" };
import { type GgufValue, writeGguf } from "../../../../test/support/gguf-writer.js";
import { modelFiles } from "../../sources/model-files.js";
import { loadOwnTokenizer, loadTokenizer } from "../load-tokenizer.js";

type Pairs = Record<string, GgufValue>;
const fileOf = (pairs: Pairs) => new File([writeGguf(pairs)], "m.gguf");
const load = (pairs: Pairs) => loadTokenizer(fileOf(pairs));

const merges = [...published.model.merges, ...fixture.extraMerges];
// Names that are numbers come first in objects, whatever their id.
const known = Object.entries(published.model.vocab)
  .sort(([, a], [, b]) => a - b)
  .map(([token]) => token);
const tokens = [...new Set([...known, ...fixture.extraMerges.map((pair) => pair.join(""))])];
/** The first token is a control token. */
const byteLevel = (pre: string, more: Pairs = {}): Pairs => ({
  "general.architecture": "llama",
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": pre,
  "tokenizer.ggml.tokens": tokens,
  "tokenizer.ggml.token_type": { type: "i32", values: tokens.map((_, id) => (id === 0 ? 3 : 1)) },
  "tokenizer.ggml.merges": merges.map((pair) => pair.join(" ")),
  "tokenizer.ggml.bos_token_id": { type: "u32", value: 0 },
  ...more,
});

const { spm } = fixture;
const sentencePiece = (more: Pairs = {}): Pairs => ({
  "general.architecture": "llama",
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": spm.tokens,
  "tokenizer.ggml.scores": { type: "f32", values: spm.scores },
  "tokenizer.ggml.token_type": { type: "i32", values: spm.types },
  "tokenizer.ggml.bos_token_id": { type: "u32", value: 1 },
  "tokenizer.ggml.eos_token_id": { type: "u32", value: 2 },
  "tokenizer.ggml.unknown_token_id": { type: "u32", value: 0 },
  ...more,
});

describe("byte-level merges give the ids of the library that they come from", () => {
  test.each(Object.entries(fixture.bpe))("split as %s", async (pre, ids) => {
    const tokenizer = await load(byteLevel(pre));
    const own = fixture.texts.map((text) => tokenizer.encode(text, { specialTokens: false }));
    expect(own).toEqual(ids);
    const composed = pre === "qwen2" ? fixture.texts.map((text) => text.normalize("NFC")) : fixture.texts;
    expect(own.map((some) => tokenizer.decode(some))).toEqual(composed);
  });

  test("the architecture tells how to split where older files do not", async () => {
    const { "tokenizer.ggml.pre": _pre, ...older } = byteLevel("");
    for (const [architecture, pre] of [
      ["gpt2", "gpt-2"],
      ["qwen3", "qwen2"],
    ] as const) {
      const tokenizer = await load({ ...older, "general.architecture": architecture });
      const own = fixture.texts.map((text) => tokenizer.encode(text, { specialTokens: false }));
      expect(own).toEqual(fixture.bpe[pre]);
    }
    await expect(load(older)).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/tokenizer\.ggml\.pre.*llama-bpe.*tokenizer\.json/),
    });
  });
});

describe("SentencePiece's scores", () => {
  test("give the ids of SentencePiece, and bytes for what no piece has", async () => {
    const tokenizer = await load(sentencePiece());
    const own = fixture.texts.map((text) => tokenizer.encode(text, { specialTokens: false }));
    expect(own).toEqual(spm.ids);
    expect(own.map((ids) => tokenizer.decode(ids))).toEqual(fixture.texts);
    for (const [index, ids] of own.entries()) {
      const stream = tokenizer.stream();
      expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(fixture.texts[index]);
    }
  });

  test("go on with a text wherever it is cut between characters", async () => {
    const tokenizer = await load(sentencePiece());
    for (const text of [...fixture.texts, "of  it", " of it"]) {
      const ids = tokenizer.encode(text);
      const whole = tokenizer.decode(ids);
      for (let cut = 2; cut < ids.length; cut++) {
        const before = tokenizer.decode(ids.slice(0, cut));
        if (before.endsWith("\ufffd")) continue;
        const stream = tokenizer.stream({ after: ids.slice(0, cut) });
        const rest = ids.slice(cut).map((id) => stream.push(id));
        expect(before + rest.join("") + stream.end()).toBe(whole);
      }
      // Behind a special token a text begins.
      const answer = tokenizer.stream({ after: [...ids, 2] });
      const own = tokenizer.encode(text, { specialTokens: false });
      expect(own.map((id) => answer.push(id)).join("") + answer.end()).toBe(whole);
    }
  });

  test("texts begin without a space where the file says so", async () => {
    const tokenizer = await load(sentencePiece({ "tokenizer.ggml.add_space_prefix": false }));
    const [first] = tokenizer.encode("of", { specialTokens: false });
    expect(spm.tokens[first!]).not.toMatch(/^▁/);
    expect(tokenizer.decode(tokenizer.encode(" of it"))).toBe(" of it");
  });
});

test("special tokens open and end texts as the file says, are found in texts, and are not written out", async () => {
  const plain = await load(sentencePiece());
  expect(plain.encode("x")).toEqual([1, ...spm.ids.at(-1)!]);
  const both = await load(sentencePiece({ "tokenizer.ggml.add_eos_token": true }));
  expect(both.encode("x")).toEqual([1, ...spm.ids.at(-1)!, 2]);
  const none = await load(sentencePiece({ "tokenizer.ggml.add_bos_token": false }));
  expect(none.encode("x</s>")).toEqual([...spm.ids.at(-1)!, 2]);
  expect(none.decode([1, ...spm.ids.at(-1)!, 2])).toBe("x");
  expect((await load(byteLevel("gpt-2"))).encode("x")[0]).not.toBe(0);
  expect((await load(byteLevel("llama-bpe"))).encode("x")[0]).toBe(0);
});

test("the file's chat template is the model's", async () => {
  const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
  const tokenizer = await load(sentencePiece({ "tokenizer.chat_template": template }));
  expect(tokenizer.chatText([{ role: "user", content: "x" }])).toBe("<s>x</s>");
});

test("a tokenizer.json beside the file comes first; a kind that is not known leaves a model without one", async () => {
  const beside = new File([JSON.stringify(published)], "tokenizer.json");
  const tokenizer = await loadTokenizer([fileOf(sentencePiece()), beside]);
  expect(tokenizer.idOf("<|begin|>")).toBe(0);
  const own = async (pairs: Pairs) => loadOwnTokenizer(await modelFiles(fileOf(pairs)));
  expect((await own(sentencePiece())).tokenizer?.idOf("</s>")).toBe(2);
  const unknown = await own(sentencePiece({ "tokenizer.ggml.model": "rwkv" }));
  expect(unknown.tokenizer).toBeUndefined();
  expect(unknown.refusal).toMatchObject({ code: "unsupported", message: expect.stringContaining("rwkv") });
  expect(await loadOwnTokenizer(await modelFiles(async () => undefined))).toEqual({});
});

test.each(["gguf-gpt2-f16", "gguf-llama-f32", "gguf-qwen2-q8_0", "gguf-qwen3-q4_0"])(
  "whatever tokenizer %s has, it keeps no model from loading",
  async (name) => {
    const address = new URL(`../../../../test/fixtures/architectures/${name}/model.gguf`, import.meta.url);
    const { tokenizer } = await loadOwnTokenizer(await modelFiles(address));
    expect(tokenizer === undefined).toBe(name === "gguf-llama-f32");
  },
);

describe("refuses", () => {
  test.each<[string, Pairs, RegExp]>([
    ["too few scores", { "tokenizer.ggml.scores": { type: "f32", values: [1] } }, /tokenizer\.ggml\.scores/],
    ["tokens that are no strings", { "tokenizer.ggml.tokens": { type: "u32", values: [1] } }, /ggml\.tokens/],
    [
      "an end that is no token",
      { "tokenizer.ggml.eos_token_id": { type: "u32", value: 9999 } },
      /eos_token_id/,
    ],
    ["a template that is none", { "tokenizer.chat_template": { type: "u32", value: 1 } }, /chat_template/],
  ])("%s", async (_name, pairs, message) => {
    await expect(load(sentencePiece(pairs))).rejects.toMatchObject({
      code: "format",
      message: expect.stringMatching(message),
    });
  });

  test("merges that are none", async () => {
    await expect(load(byteLevel("qwen2", { "tokenizer.ggml.merges": ["a b c"] }))).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("tokenizer.ggml.merges"),
    });
  });
});
