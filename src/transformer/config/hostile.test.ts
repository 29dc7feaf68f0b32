import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import native from "../../../test/fixtures/native-checkpoints.json" with { type: "json" };
import { AttentionError } from "../../dispatch/errors.js";
import { architectureOf } from "./architectures.js";
import { Fields } from "./fields.js";

const FIXTURES = new URL("../../../test/fixtures/architectures/", import.meta.url);
const published = readdirSync(FIXTURES)
  .map((name) => [name, new URL(`${name}/config.json`, FIXTURES)] as const)
  .filter(([, file]) => existsSync(file))
  .map(([name, file]) => [name, JSON.parse(readFileSync(file, "utf8"))] as const);
const configs: [string, Record<string, unknown>][] = [
  ...published.map(([name, config]): [string, Record<string, unknown>] => [name, config]),
  ...Object.entries(native).map(([name, { config }]): [string, Record<string, unknown>] => [name, config]),
];

/** What somebody may write in place of a number, a word, a list or an object. */
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(0, -1, 0.5, 1e9, 2 ** 53, 1e308, "NaN", "__proto__", [], {}, [[]], [null], { 0: "a" }),
  // Sizes that a field may take, for all that is known before the others are read.
  fc.constantFrom(2 ** 11, 2 ** 16, 2 ** 20, 2 ** 25, 2 ** 26),
  fc.constantFrom(
    nested(100_000),
    { a: nested(100_000) },
    Array(100_000).fill("a"),
    "a".repeat(100_000),
    1n,
    [[1n]],
  ),
);

/** Lists within lists. */
function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = [value];
  return value;
}

test.each(configs)("%s: changed fields are taken or refused, with a typed error", (_name, config) => {
  const change = fc.tuple(fc.constantFrom(...Object.keys(config)), anything);
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      try {
        const fields = new Fields("config.json", { ...config, ...Object.fromEntries(changes) });
        const architecture = architectureOf(fields);
        const { tensors } = architecture.tensors(architecture.config(fields), new Set());
        for (const { shape } of tensors)
          expect(shape.every((size) => Number.isSafeInteger(size) && size >= 1)).toBe(true);
      } catch (error) {
        if (!(error instanceof AttentionError)) throw error;
      }
    }),
    { numRuns: 100 },
  );
});

const fixture = (name: string) => configs.find(([one]) => one === name)![1];
const MOST = 2 ** 26;

describe("sizes that nothing else bounds are refused before lists of their length are made", () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      "vit-classifier labels",
      { ...fixture("bert-classifier"), id2label: null, num_labels: MOST },
      /num_labels/,
    ],
    ["channels", { ...fixture("vit"), num_channels: MOST }, /num_channels/],
    [
      "heads of transnormer",
      { ...fixture("transnormer"), decoder_embed_dim: MOST, hidden_dim: MOST, decoder_attention_heads: MOST },
      /decoder_attention_heads/,
    ],
    [
      "heads of all layers",
      { ...fixture("transnormer"), decoder_attention_heads: 2 ** 15, hidden_dim: MOST, decoder_layers: 2048 },
      /decoder_attention_heads.*2048 layers together/,
    ],
    ["heads of lightning", { ...fixture("lm-lightning"), width: MOST, heads: MOST, kv_heads: null }, /heads/],
  ])("%s", (_name, config, message) => {
    const fields = new Fields("config.json", { ...config, linear_use_lrpe_list: null });
    expect(() => architectureOf(fields).config(fields)).toThrow(
      expect.objectContaining({ code: "format", message: expect.stringMatching(message) }),
    );
  });
});

test.each(["vit", "deit", "bert"])(
  "%s: lists within lists in place of the name of an architecture",
  (name) => {
    const fields = new Fields("config.json", { ...fixture(name), architectures: [nested(100_000)] });
    expect(() => architectureOf(fields).config(fields)).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining("architectures") }),
    );
  },
);

test("fields of layers lie over those of the model, which are not copied for each", () => {
  const many = Object.fromEntries(Array.from({ length: 200_000 }, (_, index) => [`x${index}`, index]));
  const own = {
    ...fixture("lm-softmax"),
    layers: 2048,
    attention: Array(2048).fill({ sliding_window: 9 }),
    ...many,
  };
  const fields = new Fields("config.json", own);
  const { layers } = architectureOf(fields).config(fields);
  expect(layers.at(-1)!.attention).toMatchObject({ window: 9 });
});
