import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TextStream } from "./text-stream.js";

/** Ids are bytes, as in a byte-level vocabulary without merges. */
const bytes = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));
/** Ids are bytes, and the first space of a text is dropped. */
const stripped = (ids: readonly number[]) => bytes(ids).replace(/^ /, "");

function pieces(ids: Iterable<number>, decode = bytes): string[] {
  const stream = new TextStream(decode);
  return [...Array.from(ids, (id) => stream.push(id)), stream.end()];
}

test("a character comes whole, with its last byte", () => {
  const text = "a€😀é";
  expect(pieces(new TextEncoder().encode(text))).toEqual(["a", "", "", "€", "", "", "", "😀", "", "é", ""]);
});

test("a space that only a first word loses stays elsewhere", () => {
  const ids = new TextEncoder().encode(" one two");
  expect(pieces(ids, stripped).join("")).toBe("one two");
});

describe("goes on with tokens that stand before", () => {
  const silent = (ids: readonly number[]) => stripped(ids.filter((id) => id !== 0));
  const encode = (text: string) => Array.from(new TextEncoder().encode(text));

  test.each<[string, number[], string, string]>([
    ["none", [], " two", "two"],
    ["a text", encode("one"), " two", " two"],
    ["a long text", encode("one and one and one"), " two", " two"],
    ["a text that ends with a space", encode("one "), "two", "two"],
    ["a text and a token without any", [...encode("one"), 0], " two", " two"],
    ["special tokens alone", [0, 0], " two", "two"],
  ])("%s", (_name, after, next, expected) => {
    const stream = new TextStream(silent, after);
    expect(
      encode(next)
        .map((id) => stream.push(id))
        .join("") + stream.end(),
    ).toBe(expected);
  });

  test("half a character, which then comes whole", () => {
    const [first, ...rest] = encode("€");
    const stream = new TextStream(silent, [...encode("a"), first!]);
    expect([...rest, 98].map((id) => stream.push(id))).toEqual(["", "€", "b"]);
  });
});

test.each([8, 9, 10, 18])("%d bytes that are no character are as many replacement characters", (count) => {
  expect(pieces(Array<number>(count).fill(0xff)).join("")).toBe("\ufffd".repeat(count));
});

test("endless tokens without text, or of bytes that are no character, are not kept", () => {
  let most = 0;
  const watched = (ids: readonly number[]) => {
    most = Math.max(most, ids.length);
    return bytes(ids.filter((id) => id !== 0));
  };
  for (const id of [0, 0x80]) {
    const shown = pieces([97, ...Array<number>(100).fill(id), 98], watched).join("");
    expect(shown).toBe(`a${id === 0 ? "" : "\ufffd".repeat(100)}b`);
  }
  expect(most).toBeLessThan(20);
});

test("tokens without text change nothing", () => {
  const silent = (ids: readonly number[]) => stripped(ids.filter((id) => id !== 0));
  const ids = [0, ...new TextEncoder().encode(" a"), 0, 0, ...new TextEncoder().encode(" b")];
  expect(pieces(ids, silent).join("")).toBe("a b");
});

test("bytes that never become a character are shown at the end, once", () => {
  expect(pieces([97, 0xe2, 0x82])).toEqual(["a", "", "", "\ufffd"]);
});

test("wrong bytes do not hold up what follows", () => {
  expect(pieces([0x80, 0x80, 97, 98]).join("")).toBe("\ufffd\ufffdab");
  const stream = new TextStream(bytes);
  stream.push(0xe2);
  expect(stream.push(97)).toBe("\ufffda");
});

describe("whatever comes", () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => new TextEncoder().encode(text)),
  );

  test("pieces joined are the text, and none ends within a character", () => {
    fc.assert(
      fc.property(anything, (ids) => {
        const shown = pieces(ids);
        expect(shown.join("")).toBe(bytes([...ids]));
        for (const piece of shown) expect(piece).not.toMatch(/[\ud800-\udbff]$/);
      }),
    );
  });
});
