import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import samples from "../../../test/fixtures/tokenizer/samples.json" with { type: "json" };
import { writeGguf } from "../../../test/support/gguf-writer.js";
import { modelFiles } from "../sources/model-files.js";
import { loadOwnTokenizer, loadTokenizer } from "./load-tokenizer.js";

const json = readFileSync(new URL("../../../test/fixtures/tokenizer/tokenizer.json", import.meta.url));
const CHATML =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const withFiles = (files: Record<string, string | object | Uint8Array>) => async (path: string) => {
  const file = Object.hasOwn({ "tokenizer.json": json, ...files }, path)
    ? { "tokenizer.json": json, ...files }[path]
    : undefined;
  if (file === undefined || file instanceof Uint8Array) return file;
  return new TextEncoder().encode(typeof file === "string" ? file : JSON.stringify(file));
};
const load = (files: Record<string, string | object | Uint8Array> = {}) => loadTokenizer(withFiles(files));

describe("text", () => {
  test.each(samples)("$text", async ({ text, ids }) => {
    const tokenizer = await load();
    expect(tokenizer.encode(text, { specialTokens: false })).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
    const stream = tokenizer.stream();
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(text);
  });

  test("the begin token opens a text, and is not written out", async () => {
    const tokenizer = await load();
    const ids = tokenizer.encode("Emma");
    expect(ids[0]).toBe(tokenizer.idOf("<|begin|>"));
    expect(tokenizer.decode(ids)).toBe("Emma");
    expect(tokenizer.decode(ids, { specialTokens: true })).toBe("<|begin|>Emma");
  });

  test("ids beyond the vocabulary give no text, and what is no id is refused", async () => {
    const tokenizer = await load();
    expect(tokenizer.decode([999_999])).toBe("");
    expect(tokenizer.decode([])).toBe("");
    expect(() => tokenizer.decode([-1])).toThrow(expect.objectContaining({ code: "shape" }));
    expect(() => tokenizer.encode(3 as never)).toThrow(expect.objectContaining({ code: "shape" }));
    expect(() => tokenizer.encode("", { special: true } as never)).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
  });

  test("half a surrogate pair counts as a replacement character", async () => {
    const tokenizer = await load();
    expect(tokenizer.encode("a\ud83d")).toEqual(tokenizer.encode("a\ufffd"));
    expect(tokenizer.decode(tokenizer.encode("😀"))).toBe("😀");
  });
});

describe("conversations", () => {
  const messages = [
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Good day" },
  ];
  const written = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nGood day<|im_end|>\n";

  test.each<[string, Record<string, string | object>]>([
    ["in the configuration", { "tokenizer_config.json": { chat_template: CHATML } }],
    [
      "one of several",
      {
        "tokenizer_config.json": {
          chat_template: [
            { name: "tool_use", template: "no" },
            { name: "default", template: CHATML },
          ],
        },
      },
    ],
    [
      "in a file of its own",
      { "chat_template.jinja": CHATML, "tokenizer_config.json": { chat_template: "no" } },
    ],
  ])("template %s", async (_name, files) => {
    const tokenizer = await load(files);
    expect(tokenizer.hasChatTemplate).toBe(true);
    expect(tokenizer.chatText(messages)).toBe(`${written}<|im_start|>assistant\n`);
    expect(tokenizer.chatText(messages, { addGenerationPrompt: false })).toBe(written);
    expect(tokenizer.decode(tokenizer.encodeChat(messages))).toBe(`${written}<|im_start|>assistant\n`);
  });

  test("templates get special tokens and variables", async () => {
    const config = { bos_token: { content: "<|begin|>" }, chat_template: "{{ bos_token }}{{ mood }}" };
    const tokenizer = await load({ "tokenizer_config.json": config });
    expect(tokenizer.chatText(messages, { variables: { mood: "calm" } })).toBe("<|begin|>calm");
    expect(tokenizer.encodeChat(messages)[0]).toBe(0);
  });

  test("what a template refuses, is told", async () => {
    const template = "{{ raise_exception('roles must alternate') }}";
    const tokenizer = await load({ "tokenizer_config.json": { chat_template: template } });
    const chat = () => tokenizer.chatText(messages);
    expect(chat).toThrow(
      expect.objectContaining({ code: "format", message: expect.stringContaining("alternate") }),
    );
    expect(() => tokenizer.chatText([])).toThrow(expect.objectContaining({ code: "shape" }));
  });

  test.each([
    ["a range", "{% for i in range(10**9) %}x{% endfor %}"],
    ["a range that ends nowhere", "{% for i in range(0, 1, 1 / 10000000) %}x{% endfor %}"],
    [
      "loops within loops",
      "{% set r = range(1000) %}{% for a in r %}{% for b in r %}{% for c in r %}{{ c }}{% endfor %}{% endfor %}{% endfor %}",
    ],
    [
      "macros that call themselves twice",
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    ],
  ])("a template that never ends is stopped: %s", async (_name, template) => {
    const tokenizer = await load({
      "tokenizer_config.json": { chat_template: template.replace("10**9", "1000000000") },
    });
    expect(() => tokenizer.chatText(messages)).toThrow(
      expect.objectContaining({ code: "format", message: expect.stringContaining("rounds") }),
    );
  });

  test.each([
    ["broken", "{% for %}"],
    ["of statements that the package has not", "{% do x.append(1) %}"],
    ["of numbers that it has not", "{{ 1e3 }}"],
    ["within loops that call themselves", "{% for a in b recursive %}{% endfor %}"],
  ])("a template that cannot be read leaves texts alone: %s", async (_name, template) => {
    const tokenizer = await load({ "chat_template.jinja": template });
    expect(tokenizer.encode("Emma")).toEqual((await load()).encode("Emma"));
    expect(tokenizer.hasChatTemplate).toBe(true);
    expect(() => tokenizer.chatText(messages)).toThrow(
      expect.objectContaining({ code: "format", message: expect.stringContaining("chat template") }),
    );
  });

  test("loops and ranges of templates are what they were", async () => {
    const template =
      "{% for i in range(1, 8, 3) %}{{ i }}{{ loop.index }}{{ '' if loop.last else ',' }}{% else %}none{% endfor %}" +
      "{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}{% for i in range(0) %}{{ i }}{% else %}none{% endfor %}";
    const tokenizer = await load({ "tokenizer_config.json": { chat_template: template } });
    for (let time = 0; time < 2; time++) expect(tokenizer.chatText(messages)).toBe("11,42,73321none");
  });

  test("a turn that calls functions may have no text", async () => {
    const template = "{% for m in messages %}{{ m.content is none }}{% endfor %}";
    const tokenizer = await load({ "tokenizer_config.json": { chat_template: template } });
    const call = { role: "assistant", content: null, tool_calls: [{ function: { name: "f" } }] };
    expect(tokenizer.chatText([...messages, call])).toBe("falsefalsetrue");
    expect(() => tokenizer.chatText([{ role: "user", content: null }])).toThrow(
      expect.objectContaining({ code: "shape" }),
    );
  });

  test("without a template there is no chat", async () => {
    const tokenizer = await load();
    expect(tokenizer.hasChatTemplate).toBe(false);
    expect(() => tokenizer.chatText(messages)).toThrow(expect.objectContaining({ code: "unsupported" }));
  });
});

describe("refuses", () => {
  test.each<[string, Record<string, string | object>, RegExp]>([
    ["no JSON", { "tokenizer.json": "{" }, /tokenizer\.json/],
    ["another JSON", { "tokenizer.json": { tokens: [] } }, /tokenizer\.json/],
    ["a configuration that is none", { "tokenizer_config.json": "[]" }, /tokenizer_config\.json.*list/],
  ])("%s", async (_name, files, message) => {
    await expect(load(files)).rejects.toMatchObject({
      code: "format",
      message: expect.stringMatching(message),
    });
  });

  const plain = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
  };
  const letters = { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] };

  test.each<[string, object, RegExp]>([
    ["another model", { model: { type: "Crystal ball" } }, /model\.type.*BPE.*Crystal ball/],
    [
      "a vocabulary of words",
      { model: { type: "WordLevel", vocab: { "[UNK]": 0, a: 1, b: 2 }, unk_token: "[UNK]" } },
      /model\.type.*WordLevel/,
    ],
    ["a way to split", { model: letters, pre_tokenizer: { type: "UnicodeScripts" } }, /UnicodeScripts/],
    [
      "a way to split at a character",
      { model: letters, pre_tokenizer: { type: "CharDelimiterSplit" } },
      /CharDelimiterSplit/,
    ],
    ["a normalizer", { model: letters, normalizer: { type: "Nmt" } }, /Nmt/],
  ])("%s, which is not known: a model runs without", async (_name, more, message) => {
    const source = withFiles({ "tokenizer.json": { ...plain, ...more } });
    const refusal = { code: "unsupported", message: expect.stringMatching(message) };
    await expect(loadTokenizer(source)).rejects.toMatchObject(refusal);
    const own = await loadOwnTokenizer(await modelFiles(source));
    expect(own).toMatchObject({ tokenizer: undefined, refusal });
  });

  test("no file of old that does not say what its model is", async () => {
    const { type: _type, ...model } = letters;
    const old = { ...model, unk_token: null, continuing_subword_prefix: null };
    const tokenizer = await load({ "tokenizer.json": { ...plain, model: old } });
    expect(tokenizer.encode("ab")).toEqual([0, 1]);
  });

  test("a GGUF file without a tokenizer, and asks for a tokenizer.json", async () => {
    const file = new File([writeGguf({ "general.architecture": "llama" })], "m.gguf");
    await expect(loadTokenizer([file])).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("tokenizer.json"),
    });
    await expect(loadTokenizer(async () => undefined)).rejects.toMatchObject({ code: "format" });
  });
});

describe("a server that refuses access to what it does not have", () => {
  const serving = (files: Readonly<Record<string, Uint8Array>>) =>
    (async (address: string) => {
      const file = files[new URL(address).pathname.split("/").at(-1)!];
      if (!file) return new Response("AccessDenied", { status: 403 });
      return new Response(file.slice(), { headers: { "Content-Length": String(file.length) } });
    }) as typeof fetch;
  const gguf = writeGguf({
    "general.architecture": "gpt2",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "ab"],
    "tokenizer.ggml.merges": ["a b"],
  });

  test.each<[string, string, Record<string, Uint8Array>]>([
    ["beside a GGUF file that alone is signed", "m.gguf?signature=1", { "m.gguf": gguf }],
    ["beside a tokenizer", "", { "tokenizer.json": json }],
  ])("%s", async (_name, path, files) => {
    const options = { fetch: serving(files), retries: 0 };
    const tokenizer = await loadTokenizer(`https://models.example/m/${path}`, options);
    expect(tokenizer.encode("ab", { specialTokens: false }).length).toBeGreaterThan(0);
    expect(tokenizer.hasChatTemplate).toBe(false);
  });

  test.each(["", "m.gguf"])("is believed where it gives nothing at all: m/%s", async (path) => {
    const options = { fetch: serving({}), retries: 0 };
    await expect(loadTokenizer(`https://models.example/m/${path}`, options)).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("403"),
    });
  });

  test("gives a model without tokenizer, which says why", async () => {
    const files = await modelFiles("https://models.example/m/", { fetch: serving({}), retries: 0 });
    expect(await loadOwnTokenizer(files)).toMatchObject({
      tokenizer: undefined,
      refusal: { message: expect.stringContaining("403") },
    });
  });
});
