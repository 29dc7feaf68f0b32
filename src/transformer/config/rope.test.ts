import { describe, expect, test } from "vitest";
import published from "../../../test/fixtures/architectures/rope.json" with { type: "json" };
import { Fields } from "./fields.js";
import { readRope } from "./read-rope.js";
import { ropeDependsOnLength, ropeTable, withRopeFactors } from "./rope.js";

test.each(published)("$comment", ({ config, head_dim, tokens, frequencies, attention_factor }) => {
  const table = ropeTable(readRope(new Fields("config.json", config), head_dim), tokens);
  expect(table.frequencies).toHaveLength(frequencies.length);
  table.frequencies.forEach((rate, pair) => {
    expect(Math.abs(rate / frequencies[pair]! - 1), `pair ${pair}`).toBeLessThan(1e-7);
  });
  expect(table.attentionFactor).toBeCloseTo(attention_factor, 7);
});

const read = (config: object, headDim = 8) => readRope(new Fields("config.json", config), headDim);
const scaled = (scaling: object) => read({ max_position_embeddings: 64, rope_scaling: scaling });

test("only two scalings depend on the length", () => {
  expect(ropeDependsOnLength(read({}))).toBe(false);
  expect(ropeDependsOnLength(scaled({ type: "dynamic", factor: 2 }))).toBe(true);
});

describe("the original context", () => {
  const name = "original_max_position_embeddings";
  const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  test.each(["llama3", "yarn"])(
    "of %s stands beside the scaling, or else in it, or is the trained one",
    (type) => {
      const original = (beside: object, within: object) =>
        read({
          ...{ max_position_embeddings: 64, rope_scaling: { ...llama3, rope_type: type, ...within } },
          ...beside,
        }).scaling;
      expect(original({ [name]: 16 }, { [name]: 32 })).toMatchObject({ kind: type, original: 16 });
      expect(original({ [name]: 16 }, {})).toMatchObject({ original: 16 });
      expect(original({ [name]: null }, { [name]: 32 })).toMatchObject({ original: 32 });
      expect(original({}, {})).toMatchObject({ original: 64 });
    },
  );
});

test("a part of the channels may turn", () => {
  expect(read({ partial_rotary_factor: 0.5, rope_theta: 100 })).toMatchObject({ dim: 4, theta: 100 });
});

test("a file's own divisors", () => {
  const rope = withRopeFactors(read({ rope_theta: 16 }), "rope_freqs.weight", [1, 2, 4, 8]);
  expect(Array.from(ropeTable(rope, 1).frequencies)).toEqual([1, 0.25, 1 / 16, 1 / 64]);
  expect(() => withRopeFactors(rope, "rope_freqs.weight", [1, 2, 3])).toThrow(/rope_freqs.weight.*4 numbers/);
  expect(() => withRopeFactors(rope, "rope_freqs.weight", [1, 2, 3, 0])).toThrow(/above 0/);
});

describe("refuses", () => {
  test.each<[string, object, RegExp]>([
    ["an unknown scaling", { rope_type: "spiral", factor: 2 }, /rope_type.*spiral/],
    ["no factor", { rope_type: "linear" }, /factor.*nothing/],
    ["a factor of 0", { rope_type: "yarn", factor: 0 }, /factor/],
    [
      "frequency factors in reverse",
      {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 4,
        high_freq_factor: 1,
        original_max_position_embeddings: 8,
      },
      /high_freq_factor/,
    ],
    [
      "too few divisors",
      { rope_type: "longrope", factor: 2, short_factor: [1, 1], long_factor: [1, 1, 1, 1] },
      /short_factor.*4 numbers/,
    ],
    ["text in place of numbers", { rope_type: "linear", factor: "2" }, /factor/],
  ])("%s", (_name, scaling, message) => {
    expect(() => scaled(scaling)).toThrow(message);
  });

  test("an odd number of channels", () => {
    expect(() => read({ hidden_size: 21 }, 7)).toThrow(/even number/);
  });
});
