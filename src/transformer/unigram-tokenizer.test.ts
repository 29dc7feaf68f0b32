import { describe, expect, test } from "vitest";
import golden from "../../test/fixtures/use-lite/sentences.json" with { type: "json" };
import official from "../../test/fixtures/use-lite/tokenizer-cases.json" with { type: "json" };
import { readUseLiteVocabulary } from "../../test/reference/use-lite-files.js";
import { AttentionError } from "../dispatch/errors.js";
import { UnigramTokenizer, type UnigramVocabulary } from "./unigram-tokenizer.js";

const tokenizer = new UnigramTokenizer(readUseLiteVocabulary());

const reserved = ["�", "<s>", "</s>", "a", "b", "c"].map((piece) => [piece, 0] as const);

describe("ids of the official runtime", () => {
  test.each(golden.sentences.map((sentence, i) => [sentence, golden.ids[i]!] as const))(
    "%j",
    (sentence, ids) => {
      expect(tokenizer.encode(sentence)).toEqual(ids);
    },
  );

  test.each(official.cases)("$text", ({ text, ids }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
  });
});

// Not in the fixture, because a JSON loader may refuse them; ids from the same official runtime.
test("half a surrogate pair is an unknown character", () => {
  expect(tokenizer.encode("\ud83d alone")).toEqual([30, 0, 1510]);
  expect(tokenizer.encode("\udc00")).toEqual([30, 0]);
});

test("canonically equivalent texts have the same ids", () => {
  expect(tokenizer.encode("cafe\u0301")).toEqual(tokenizer.encode("café"));
});

test("pieces outside the basic plane count as one character", () => {
  const small = new UnigramTokenizer([...reserved, ["\u2581", -1], ["😀", -1], ["x", -1]]);
  expect(small.encode("x😀x")).toEqual([6, 8, 7, 8]);
});

test("time is linear: a million characters within seconds", () => {
  const sentence = "the whale ship sails; ";
  const repeats = Math.ceil(1e6 / sentence.length);
  const start = performance.now();
  const ids = tokenizer.encode(sentence.repeat(repeats));
  expect(performance.now() - start).toBeLessThan(5000);
  expect(ids.length).toBeGreaterThan(repeats);
});

describe("a malformed vocabulary is refused", () => {
  const cases: [string, unknown][] = [
    ["not an array", { "▁": -1 }],
    ["too short", reserved.slice(0, 5)],
    ["an entry that is no pair", [...reserved, "▁"]],
    ["an empty piece", [...reserved, ["", -1]]],
    ["a score in words", [...reserved, ["▁", "low"]]],
  ];
  test.each(cases)("%s", (_, vocabulary) => {
    const make = () => new UnigramTokenizer(vocabulary as UnigramVocabulary);
    expect(make).toThrow(AttentionError);
    expect(make).toThrow(expect.objectContaining({ code: "format" }));
  });
});
