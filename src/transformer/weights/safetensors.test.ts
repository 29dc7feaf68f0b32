import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { writeSafetensors } from "../../../test/support/safetensors-writer.js";
import { AttentionError } from "../../dispatch/errors.js";
import { bytesSource } from "../sources/bytes-source.js";
import { readSafetensorsHeader } from "./safetensors.js";

const good = writeSafetensors(
  { format: "pt" },
  {
    a: { dtype: "F32", shape: [2, 3], data: new Float32Array(6) },
    empty: { dtype: "F16", shape: [0, 4], data: new Uint16Array(0) },
    b: { dtype: "BF16", shape: [3], data: new Uint16Array(3) },
    ids: { dtype: "I64", shape: [], data: new BigInt64Array(1) },
  },
);
const read = (bytes: Uint8Array) => readSafetensorsHeader(bytesSource("m.safetensors", bytes));

/** A file with this header as it stands, and so many bytes of data. */
function withHeader(header: unknown, dataBytes: number, length?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const tensor = (begin: number, end: number, shape = [(end - begin) / 4], dtype: unknown = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

test("reads names, types, shapes and places", async () => {
  const { tensors } = await read(good);
  expect(tensors.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
    ["a", "F32", [2, 3]],
    ["empty", "F16", [0, 4]],
    ["b", "BF16", [3]],
    ["ids", "I64", []],
  ]);
  expect(tensors.at(-1)!.end).toBe(good.length);
});

describe("refuses", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /at least 8/],
    ["a header of 2^63 bytes", withHeader({}, 0, 2n ** 63n), /header.*9223372036854775808/],
    ["a header that is too long", withHeader(`{${" ".repeat(2 ** 24)}}`, 0), /header.*at most 16777216/],
    ["a header past the end", withHeader({}, 4, 100n), /header.*at most 6/],
    ["no JSON", withHeader("{", 0), /JSON/],
    ["no UTF-8", Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe), /UTF-8/],
    ["a list", withHeader([], 0), /object/],
    ["spaces before the object, as the format has it", withHeader(" {}", 0), /first byte.*32/],
    ["no header", withHeader("", 0), /first byte.*none/],
    ["metadata that are no strings", withHeader({ __metadata__: { a: 1 } }, 0), /__metadata__/],
    ["a tensor that is none", withHeader({ a: 3 }, 0), /"a"/],
    ["an unknown type", withHeader({ a: tensor(0, 4, [1], "F33") }, 4), /"a" dtype.*F33/],
    ["a type by an inherited name", withHeader({ a: tensor(0, 4, [1], "toString") }, 4), /dtype/],
    ["a negative size", withHeader({ a: tensor(0, 4, [-1]) }, 4), /"a" shape/],
    ["a size beyond whole numbers", withHeader({ a: tensor(0, 4, [2 ** 60]) }, 4), /shape/],
    ["huge sizes", withHeader({ a: tensor(0, 4, [2 ** 40, 2 ** 40]) }, 4), /"a" data_offsets/],
    ["more bytes than the shape has", withHeader({ a: tensor(0, 8, [1]) }, 8), /4 bytes for F32/],
    ["offsets in reverse", withHeader({ a: tensor(8, 4, [1]) }, 8), /data_offsets/],
    ["an end past the file", withHeader({ a: tensor(0, 8) }, 4), /"a".*within the 4/],
    ["overlapping tensors", withHeader({ a: tensor(0, 8), b: tensor(4, 12) }, 12), /"b".*overlap/],
    ["a gap", withHeader({ a: tensor(0, 4), b: tensor(8, 12) }, 12), /"b".*gap/],
    ["bytes that belong to nobody", withHeader({ a: tensor(0, 4) }, 8), /4 bytes of data/],
    [
      "the same tensor twice",
      withHeader(`{"a":${JSON.stringify(tensor(0, 4))},"a":${JSON.stringify(tensor(4, 8))}}`, 8),
      /"a".*two/,
    ],
    [
      "two places of one tensor",
      withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[4,8]}}', 8),
      /"data_offsets" once.*two/,
    ],
    ["lists without end", withHeader(`{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`, 0), /deeper/],
  ])("%s", async (_name, bytes, message) => {
    const reading = read(bytes);
    await expect(reading).rejects.toMatchObject({ code: "format", message: expect.stringMatching(message) });
  });

  test("whatever is broken in a header, with a typed error, or else the tensors lie within the file", async () => {
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(damage, fc.option(fc.nat(good.length)), async (changes, cut) => {
        const bytes = good.slice(0, cut ?? good.length);
        for (const [place, value] of changes) if (place < bytes.length) bytes[place] = value;
        try {
          const { tensors } = await read(bytes);
          for (const { begin, end } of tensors)
            expect(begin >= 8 && begin <= end && end <= bytes.length).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(AttentionError);
          expect(error).toMatchObject({ code: "format" });
        }
      }),
      { numRuns: 500 },
    );
  });
});

test("allocates nothing for what a header claims", async () => {
  const huge = { name: "m", size: 2 ** 50 };
  const header = withHeader({}, 0, 2n ** 49n).slice(0, 8);
  const source = {
    ...huge,
    stream: (begin: number, end: number) => bytesSource("m", header).stream(begin, end),
  };
  await expect(readSafetensorsHeader(source)).rejects.toMatchObject({ code: "format" });
});

const FIXTURES = new URL("../../../test/fixtures/damaged/", import.meta.url);
const lists: Record<string, { file: string; what: string; names: string[] }[]> = JSON.parse(
  readFileSync(new URL("damaged.json", FIXTURES), "utf8"),
);
const fixture = (list: string, file: string) => read(readFileSync(new URL(`${list}/${file}`, FIXTURES)));

describe("fixtures", () => {
  test.each(lists.safetensors!)("refuses $file: $what", async ({ file, names }) => {
    const reading = fixture("safetensors", file);
    await expect(reading).rejects.toMatchObject({ code: "format" });
    const { message } = (await reading.catch((error: Error) => error as Error)) as Error;
    for (const name of names) expect(message).toContain(name);
  });

  test.each(lists["safetensors-sound"]!)("takes $file: $what", async ({ file }) => {
    await fixture("safetensors-sound", file);
  });
});
