import { describe, expect, it } from "vitest";
import { AttentionError } from "../../src/dispatch/errors.js";
import { goldenFiles } from "./golden.js";
import { readSafetensors } from "./safetensors.js";

function file(header: unknown, data: Uint8Array = new Uint8Array(), headerLength?: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength ?? json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

function tensor(dtype: string, shape: number[], begin: number, end: number) {
  return { dtype, shape, data_offsets: [begin, end] };
}

const four = new Uint8Array(4);

describe("readSafetensors", () => {
  it("reads the golden files", () => {
    const golden = goldenFiles("softmax");
    expect(golden.length).toBeGreaterThan(0);
    for (const { metadata, tensors } of golden) {
      expect(metadata.mechanism).toBe("softmax");
      expect(tensors.get("q")?.data).toBeInstanceOf(Float32Array);
    }
  });

  it("widens F16 and BF16 to f32", () => {
    const half = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x8000, 0x7e00);
    const brain = Uint16Array.of(0x3f80, 0xff80);
    const data = new Uint8Array([...new Uint8Array(half.buffer), ...new Uint8Array(brain.buffer)]);
    const { tensors } = readSafetensors(
      file({ h: tensor("F16", [6], 0, 12), b: tensor("BF16", [2], 12, 16) }, data),
    );
    expect([...tensors.get("h")!.data]).toEqual([1, -2, 2 ** -24, Infinity, -0, NaN]);
    expect([...tensors.get("b")!.data]).toEqual([1, -Infinity]);
  });

  it("reads integers, booleans, empty tensors, unaligned offsets and padded headers", () => {
    const data = Uint8Array.of(0, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xfe);
    const header = {
      flags: tensor("BOOL", [3], 0, 3),
      i32: tensor("I32", [], 3, 7),
      i8: tensor("I8", [1, 1], 7, 8),
      none: tensor("F32", [0, 4], 8, 8),
    };
    const { tensors, metadata } = readSafetensors(file(`${JSON.stringify(header)}   `, data));
    expect([...tensors.get("flags")!.data]).toEqual([0, 1, 1]);
    expect([...tensors.get("i32")!.data]).toEqual([-1]);
    expect([...tensors.get("i8")!.data]).toEqual([-2]);
    expect(tensors.get("none")!.data).toHaveLength(0);
    expect(metadata).toEqual({});
  });

  it("reads a file that starts inside a larger buffer", () => {
    const whole = file({ a: tensor("U8", [4], 0, 4) }, Uint8Array.of(1, 2, 3, 4));
    const shifted = new Uint8Array(whole.length + 3);
    shifted.set(whole, 3);
    expect([...readSafetensors(shifted.subarray(3)).tensors.get("a")!.data]).toEqual([1, 2, 3, 4]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(), /at least 8 bytes/],
    ["a header longer than the file", file({}, four, 1000), /header length/],
    ["a header length of 2^53 − 1", file({}, four, Number.MAX_SAFE_INTEGER), /header length/],
    ["broken JSON", file("{oops"), /JSON/],
    ["an array as header", file("[]"), /JSON object/],
    ["metadata that is not strings", file({ __metadata__: { a: 1 } }), /__metadata__\.a/],
    ["a tensor without offsets", file({ a: { dtype: "F32", shape: [1] } }, four), /data_offsets of "a"/],
    ["an unknown dtype", file({ a: tensor("F4", [1], 0, 4) }, four), /dtype of "a"/],
    ["a dtype from Object.prototype", file({ a: tensor("toString", [1], 0, 4) }, four), /dtype of "a"/],
    ["a negative size", file({ a: tensor("F32", [-1], 0, 4) }, four), /shape of "a"/],
    [
      "offsets that do not fit the shape",
      file({ a: tensor("F32", [2], 0, 4) }, four),
      /8 bytes for F32 \[2\]/,
    ],
    ["offsets in reverse", file({ a: tensor("F32", [0], 4, 0) }, four), /data_offsets of "a"/],
    ["an end outside the file", file({ a: tensor("F32", [2], 0, 8) }, four), /within 4 bytes/],
    [
      "overlapping tensors",
      file({ a: tensor("U8", [3], 0, 3), b: tensor("U8", [2], 2, 4) }, four),
      /no overlap/,
    ],
    [
      "a gap between tensors",
      file({ a: tensor("U8", [1], 0, 1), b: tensor("U8", [2], 2, 4) }, four),
      /no gap/,
    ],
    ["data after the last tensor", file({ a: tensor("U8", [1], 0, 1) }, four), /1 bytes of data/],
    ["a truncated golden file", goldenTruncated(), /within/],
  ])("refuses %s", (_what, bytes, message) => {
    let error: unknown;
    try {
      readSafetensors(bytes);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(AttentionError);
    expect(error).toMatchObject({ code: "format", message: expect.stringMatching(message) });
  });
});

function goldenTruncated(): Uint8Array {
  return file({ a: tensor("F32", [8], 0, 32) }, new Uint8Array(31));
}
