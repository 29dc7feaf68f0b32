import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { splitPassages, splitSentences } from "./passages.js";

const words = (count: number, word = "sea") => Array.from({ length: count }, () => word).join(" ");
const texts = (text: string) => splitPassages(text).map((passage) => passage.text);

describe("splitPassages", () => {
  it("gives nothing for a text without words", () => {
    expect(splitPassages("")).toEqual([]);
    expect(splitPassages(" \n\r\n\t\n ")).toEqual([]);
  });

  it("keeps a short text whole, on one line", () => {
    expect(texts("Call me\nIshmael.\r\n")).toEqual(["Call me Ishmael."]);
  });

  it("keeps paragraphs apart that are long enough, and joins those that are not", () => {
    expect(texts(`${words(55)}.\n\n${words(60)}.`)).toHaveLength(2);
    expect(texts("Yes.\n\nNo.\n\n“Aye, sir.”")).toEqual(["Yes. No. “Aye, sir.”"]);
  });

  it("begins a passage with its heading and does not run over one", () => {
    const passages = splitPassages(
      `The end.\n\nCHAPTER 2. The Carpet-Bag.\n\n${words(70)}.\n\n${words(20)}.`,
    );
    expect(passages.map(({ heading }) => heading)).toEqual([
      undefined,
      "CHAPTER 2. The Carpet-Bag.",
      "CHAPTER 2. The Carpet-Bag.",
    ]);
    expect(passages[0]!.text).toBe("The end.");
    expect(passages[1]!.text).toMatch(/^CHAPTER 2\. The Carpet-Bag\. sea/);
  });

  it("joins headings in several lines, and keeps a last one that nothing follows", () => {
    expect(splitPassages("BOOK II\n\nCHAPTER 1\n\nIt began.")).toEqual([
      { text: "BOOK II CHAPTER 1 It began.", heading: "BOOK II CHAPTER 1" },
    ]);
    expect(texts("It ended.\n\nEPILOGUE")).toEqual(["It ended.", "EPILOGUE"]);
  });

  it("takes speech and prose for no heading", () => {
    const prose = "Part of me wished to stay.";
    expect(splitPassages(`${prose}\n\n“AVAST!”`)).toEqual([
      { text: `${prose} “AVAST!”`, heading: undefined },
    ]);
  });

  it("cuts at sentences before clauses, and at clauses before words", () => {
    const sentence = `${words(40)}.`.replace("sea", "Sea");
    expect(texts([sentence, sentence, sentence, sentence].join(" "))).toEqual([
      `${sentence} ${sentence}`,
      `${sentence} ${sentence}`,
    ]);
    expect(texts(`${words(60)}; ${words(70)}.`)).toEqual([`${words(60)};`, `${words(70)}.`]);
    expect(texts(words(240)).map((passage) => passage.split(" ").length)).toEqual([90, 90, 60]);
  });

  it("cuts text without spaces", () => {
    const passages = texts("鯨".repeat(5000));
    expect(passages.join("").length).toBe(5000);
    expect(Math.max(...passages.map((passage) => passage.length))).toBeLessThanOrEqual(360);
  });

  it("splits the shipped book without losing a word", () => {
    const book = readFileSync(new URL("../public/texts/moby-dick.txt", import.meta.url), "utf8");
    const passages = splitPassages(book);
    const lengths = passages.map(({ text }) => text.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(440);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(80);
    expect(lengths.filter((length) => length > 360).length).toBeLessThan(passages.length / 20);
    // Where a passage ends at a dash between two words, there was no white space: compare without any.
    const letters = (text: string) => text.replace(/\s+/g, "");
    expect(letters(passages.map(({ text }) => text).join(" "))).toBe(letters(book));
    expect(new Set(passages.map(({ heading }) => heading)).size).toBe(135);
  });
});

describe("splitSentences", () => {
  it("ends sentences after their closing quotes, not after titles and initials", () => {
    expect(
      splitSentences("“Who’s there?” he cried. Mr. Starbuck said: “Aye! It is I.” H. Melville wrote."),
    ).toEqual(["“Who’s there?” he cried.", "Mr. Starbuck said: “Aye!", "It is I.”", "H. Melville wrote."]);
  });
});
