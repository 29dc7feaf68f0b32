import { describe, expect, it } from "vitest";
import { benchProblem } from "../suite.js";
import { attentionModels } from "./onnx-attention.js";
import { encodeModel } from "./onnx-model.js";
import { bytesField, floatField, stringField, varintField } from "./protobuf.js";

const hex = (bytes: Iterable<number>) =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

describe("protocol buffer fields", () => {
  // The examples of the encoding's own documentation.
  it("are encoded as documented", () => {
    expect(hex(varintField(1, 150))).toBe("08 96 01");
    expect(hex(stringField(2, "testing"))).toBe("12 07 74 65 73 74 69 6e 67");
    expect(hex(bytesField(3, varintField(1, 150)))).toBe("1a 03 08 96 01");
  });

  it("may have numbers above 15 and values beyond 32 bits", () => {
    expect(hex(varintField(20, 2))).toBe("a0 01 02");
    expect(hex(varintField(1, 2 ** 32))).toBe("08 80 80 80 80 10");
    expect(hex(floatField(2, 0.5))).toBe("15 00 00 00 3f");
  });

  it("refuse what no varint of theirs can hold", () => {
    expect(() => varintField(1, -1)).toThrow("no varint");
    expect(() => varintField(1, 1.5)).toThrow("no varint");
  });
});

it("encodes a model of one operator, field by field", () => {
  const model = encodeModel({
    operator: "Op",
    domain: "d",
    operatorInputs: ["x", "", "c"],
    attributes: { n: 3, s: 0.5 },
    floats: ["s"],
    inputs: { x: [2] },
    outputs: { y: [2] },
    constants: { c: [7] },
  });
  const node =
    "0a 01 78 0a 00 0a 01 63 12 01 79 1a 02 4f 70 22 02 4f 70 " + // x, "", c -> y; named Op, of type Op
    "2a 08 0a 01 6e 18 03 a0 01 02 " + // n = 3
    "2a 0b 0a 01 73 15 00 00 00 3f a0 01 01 " + // s = 0.5
    "3a 01 64"; // in domain d
  const constant = "08 01 10 06 42 01 63 4a 04 07 00 00 00"; // int32 [1]: 7
  const value = (name: string) => `0a 01 ${name} 12 0a 0a 08 08 01 12 04 0a 02 08 02`; // f32 [2]
  const graph = `0a 2d ${node} 12 02 4f 70 2a 0d ${constant} 5a 0f ${value("78")} 62 0f ${value("79")}`;
  expect(hex(model)).toBe(`08 08 3a 64 ${graph} 42 04 0a 00 10 11 42 05 0a 01 64 10 01`);
});

describe("models of attention", () => {
  const operators = (...problem: Parameters<typeof benchProblem>) =>
    attentionModels(benchProblem(...problem)).map(({ operator }) => operator);

  it("are the operators that compute the problem", () => {
    const square = { tokensQ: 8, tokensK: 8 };
    expect(operators("", square)).toEqual(["MultiHeadAttention"]);
    expect(operators("", square, { causal: true })).toEqual(["MultiHeadAttention", "GroupQueryAttention"]);
    expect(operators("", { ...square, kvHeads: 2 }, { causal: true })).toEqual(["GroupQueryAttention"]);
    expect(operators("", { ...square, kvHeads: 2 })).toEqual([]);
    expect(operators("", { tokensQ: 1, tokensK: 9 })).toEqual(["MultiHeadAttention", "GroupQueryAttention"]);
  });

  it("give a decode step one new key and a cache of the others", () => {
    const [, model] = attentionModels(benchProblem("", { tokensQ: 1, tokensK: 9, heads: 2 }));
    expect(model!.inputs).toEqual({
      q: [1, 1, 128],
      k: [1, 1, 128],
      v: [1, 1, 128],
      past_key: [1, 2, 9, 64],
      past_value: [1, 2, 9, 64],
    });
    expect(model!.constants).toEqual({ last_key: [8], total: [9] });
  });
});
