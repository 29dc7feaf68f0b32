import { beforeEach, expect, test, vi } from "vitest";
import { modelFiles } from "../sources/model-files.js";
import { loadOwnTokenizer, loadTokenizer } from "./load-tokenizer.js";

const TOKENIZER = {
  model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] },
  ...{ added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null },
};
const FILES: Readonly<Record<string, string>> = {
  "tokenizer.json": JSON.stringify(TOKENIZER),
  "chat_template.jinja": "{{ messages[0].content }}",
};

async function source(path: string) {
  const text = FILES[path];
  return text === undefined ? undefined : new TextEncoder().encode(text);
}

/** As a bundler or Node fails where a package is not installed. */
function missing(name: string): void {
  vi.doMock(name, () => {
    throw new Error(`Cannot find package ${name}`);
  });
}

beforeEach(() => {
  vi.doUnmock("@huggingface/jinja");
  vi.doUnmock("@huggingface/tokenizers");
  vi.resetModules();
});

test("without the package of chat templates texts are encoded, and conversations refused", async () => {
  missing("@huggingface/jinja");
  const tokenizer = await loadTokenizer(source);
  expect(tokenizer.encode("ab")).toEqual([0, 1]);
  expect(tokenizer.hasChatTemplate).toBe(true);
  expect(() => tokenizer.encodeChat([{ role: "user", content: "a" }])).toThrow(
    expect.objectContaining({
      code: "unsupported",
      message: expect.stringContaining("npm install @huggingface/jinja"),
    }),
  );
});

test("without the package of tokenizers a model has none, and knows why", async () => {
  missing("@huggingface/tokenizers");
  const refusal = {
    code: "unsupported",
    message: expect.stringContaining("npm install @huggingface/tokenizers"),
  };
  await expect(loadTokenizer(source)).rejects.toMatchObject(refusal);
  const own = await loadOwnTokenizer(await modelFiles(source));
  expect(own).toMatchObject({ tokenizer: undefined, refusal });
});
