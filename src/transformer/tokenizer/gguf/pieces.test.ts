import { describe, expect, test } from "vitest";
import { mergesOfScores } from "./pieces.js";

const scored = (pieces: readonly string[]) => new Map(pieces.map((piece, index) => [piece, -index]));

test("of all cuts of a piece those count whose halves are pieces or letters, likelier pieces first", () => {
  const pieces = scored(["ab", "\u{1f600}b", "abc", "bc", "a", "b\u{1f600}b"]);
  expect(mergesOfScores("m.gguf", pieces)).toEqual([
    ["a", "b"],
    ["\u{1f600}", "b"],
    ["ab", "c"],
    ["a", "bc"],
    ["b", "c"],
    ["b", "\u{1f600}b"],
  ]);
});

/** Letters in an order that does not repeat. */
const letters = (count: number, seed = 1) => {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return String.fromCharCode(97 + (state % 26));
  }).join("");
};

/** Every part of a text: each is made of others at every place. */
function partsOf(text: string, longest: number): string[] {
  return Array.from(text, (_letter, begin) =>
    Array.from({ length: longest }, (_, more) => text.slice(begin, begin + more + 1)),
  ).flat();
}

describe("work has an end", () => {
  test.each<[string, () => string[], RegExp]>([
    ["all parts of a text", () => partsOf(letters(400), 128), /merges of \d+ pieces/],
    [
      "long pieces without merges",
      () => Array.from({ length: 9000 }, (_, index) => letters(128, index + 1)),
      /characters to cut/,
    ],
  ])("%s", (_name, pieces, message) => {
    expect(() => mergesOfScores("m.gguf", scored(pieces()))).toThrow(
      expect.objectContaining({ code: "format", message: expect.stringMatching(message) }),
    );
  });

  test("a vocabulary of tens of thousands of words with all their parts has room", () => {
    const pieces = Array.from({ length: 3200 }, (_, index) => partsOf(letters(8, index + 1), 8)).flat();
    const merges = mergesOfScores("m.gguf", scored(pieces));
    expect(merges.length).toBeGreaterThan(2 * new Set(pieces).size);
  });
});
