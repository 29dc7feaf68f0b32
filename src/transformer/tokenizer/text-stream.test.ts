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
