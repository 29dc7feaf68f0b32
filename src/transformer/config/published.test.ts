import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { architectureOf } from "./architectures.js";
import { Fields } from "./fields.js";

const FIXTURES = new URL("../../../test/fixtures/architectures/", import.meta.url);

/** A published configuration with other values in place of its own; undefined: not named at all. */
function fieldsOf(name: string, changes: object): Fields {
  const config = JSON.parse(readFileSync(new URL(`${name}/config.json`, FIXTURES), "utf8"));
  const entries = Object.entries({ ...config, ...changes }).filter(([, value]) => value !== undefined);
  return new Fields("config.json", Object.fromEntries(entries));
}

function read(name: string, changes: object, names: readonly string[] = []) {
  const fields = fieldsOf(name, changes);
  const architecture = architectureOf(fields);
  const config = architecture.config(fields);
  return { config, tensors: architecture.tensors(config, new Set(names)).tensors };
}

describe("fields count in the families whose models read them, as in transformers", () => {
  const both = { attention_bias: true, mlp_bias: true };
  test.each<[string, object, object]>([
    ["llama", both, { qkvBias: true, outBias: true, mlp: true }],
    ["llama", {}, { qkvBias: false, outBias: false, mlp: false }],
    ["mistral", both, { qkvBias: false, outBias: false, mlp: false }],
    ["qwen2", both, { qkvBias: true, outBias: false, mlp: false }],
    ["qwen2", { attention_bias: false }, { qkvBias: true, outBias: false, mlp: false }],
    ["qwen3", both, { qkvBias: true, outBias: true, mlp: false }],
  ])("biases of %s with %o", (name, changes, expected) => {
    const { attention, mlp } = read(name, changes).config.layers[0]!;
    const { qkvBias, outBias } = attention;
    expect({ qkvBias, outBias, mlp: mlp.bias }).toEqual(expected);
  });

  const slides = { use_sliding_window: true, max_window_layers: 1, layer_types: undefined };
  test.each<[string, object, readonly (number | undefined)[]]>([
    ["mistral", { sliding_window: 7 }, [7, 7]],
    ["mistral", { sliding_window: undefined }, [4096, 4096]],
    ["mistral", { sliding_window: null }, [undefined, undefined]],
    ["qwen2", { ...slides, sliding_window: 7 }, [undefined, 7]],
    ["qwen2", { ...slides, sliding_window: undefined }, [undefined, 4096]],
    ["qwen2", { ...slides, sliding_window: null }, [undefined, undefined]],
    ["qwen3", { ...slides, sliding_window: undefined }, [undefined, 4096]],
    ["qwen2", { use_sliding_window: false, sliding_window: undefined }, [undefined, undefined]],
  ])("windows of %s with %o", (name, changes, expected) => {
    const { layers } = read(name, changes).config;
    expect(layers.map(({ attention }) => ("window" in attention ? attention.window : undefined))).toEqual(
      expected,
    );
  });

  test.each<[string, number]>([
    ["qwen3", 128],
    ["qwen2", 4],
    ["llama", 4],
  ])("a head of %s whose width is not named has %i channels", (name, expected) => {
    const { attention } = read(name, { head_dim: undefined }).config.layers[0]!;
    expect(attention.headDim).toBe(expected);
  });

  test("a width that heads do not divide is refused, but where they have one of their own", () => {
    const changes = { head_dim: undefined, hidden_size: 25 };
    expect(() => read("qwen2", changes)).toThrow(/num_attention_heads/);
    expect(read("qwen3", changes).config.layers[0]!.attention.headDim).toBe(128);
  });
});

describe("tied matrices may be stored under the name of either", () => {
  const head = "lm_head.weight";
  test.each<[string, readonly string[], string]>([
    ["llama", [head], head],
    ["llama", [head, "model.embed_tokens.weight"], "model.embed_tokens.weight"],
    ["llama", [], "model.embed_tokens.weight"],
    ["gpt2", [head], head],
    ["gpt2", ["wte.weight"], "wte.weight"],
    ["gpt2", [head, "transformer.h.0.ln_1.weight"], head],
    ["gpt2", ["transformer.wte.weight", "transformer.h.0.ln_1.weight"], "transformer.wte.weight"],
    ["transnormer", [head], head],
  ])("%s with %o", (name, names, expected) => {
    const { tensors } = read(name, { tie_word_embeddings: true }, names);
    const slots = tensors.filter(({ target }) => target.slot === "embedding").map(({ name }) => name);
    expect(slots).toEqual([expected]);
    expect(tensors.some(({ target }) => target.slot === "head")).toBe(false);
  });

  test("untied ones each have their own", () => {
    const { tensors } = read("llama", { tie_word_embeddings: false }, [head]);
    const names = tensors.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["model.embed_tokens.weight", head]));
  });

  test("the prefix of GPT-2's names is found without the embedding", () => {
    const { tensors } = read("gpt2", {}, [head, "transformer.h.0.ln_1.weight"]);
    expect(tensors.map(({ name }) => name)).toContain("transformer.wpe.weight");
  });
});

describe("refuses what changes a model's results", () => {
  test.each<[string, object, string]>([
    ["llama", { is_causal: false }, "is_causal"],
    ["qwen3", { is_causal: false }, "is_causal"],
    ["gpt2", { is_causal: false }, "is_causal"],
    ["bert-masked-lm", { tie_word_embeddings: false }, "tie_word_embeddings"],
    ["vit-pooler", { pooler_act: "relu" }, "pooler_act"],
    ["vit", { image_size: [12, 24] }, "image_size"],
    ["vit", { patch_size: [4, 4, 4] }, "patch_size"],
  ])("%s with %o", (name, changes, field) => {
    expect(() => read(name, changes)).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining(field) }),
    );
  });

  test.each<[string, object]>([
    ["llama", { is_causal: true }],
    ["gpt2", { is_causal: true }],
    ["bert-masked-lm", { tie_word_embeddings: true }],
    ["bert", { tie_word_embeddings: false }],
    ["vit-pooler", { pooler_act: "tanh" }],
    ["vit", { pooler_act: "relu" }],
  ])("but not %s with %o", (name, changes) => {
    expect(read(name, changes).tensors.length).toBeGreaterThan(0);
  });
});

describe("images", () => {
  test("of equal sides may be written as height and width", () => {
    const { image } = read("vit", { image_size: [12, 12], patch_size: [4, 4] }).config;
    expect(image).toMatchObject({ size: 12, patch: 4 });
    expect(() => read("vit", { image_size: [0, 0] })).toThrow(/image_size.*whole number/);
  });

  const own = { rescale_factor: 0.5, image_mean: [1, 2, 3], image_std: [4, 5, 6] };
  test.each<[object, object]>([
    [{}, { rescale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }],
    [own, { rescale: 0.5, mean: [1, 2, 3], std: [4, 5, 6] }],
    [
      { ...own, do_normalize: false },
      { rescale: 0.5, mean: [0, 0, 0], std: [1, 1, 1] },
    ],
    [
      { ...own, do_rescale: false },
      { rescale: 1, mean: [1, 2, 3], std: [4, 5, 6] },
    ],
    [
      { do_rescale: false, do_normalize: false },
      { rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] },
    ],
  ])("are scaled by %o", (changes, expected) => {
    expect(read("vit", changes).config.image).toMatchObject(expected);
  });
});
