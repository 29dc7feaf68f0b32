import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { attend, attentionMap } from "./attention-map.js";
import { prefixSoftmaxMap, taylorMap } from "./deconstructed.js";
import { headRows } from "./dense-tensor.js";
import { golden } from "./golden-case.js";
import { embeddings, sourcedAttention } from "./query-key-source.js";

describe("deconstructed attention", () => {
  const { tokensFirst, headValues } = golden("decon_variants");
  const [q, k, v] = ["q_raw", "k", "v"].map((name) => tokensFirst(`input.${name}`)) as [never, never, never];

  it.each([
    ["nonapprox64", prefixSoftmaxMap],
    ["taylor_joint64", taylorMap],
  ] as const)("%s", (name, mapOf) => {
    for (let h = 0; h < 2; h++) {
      const map = mapOf(headRows(q, 0, h), headRows(k, 0, h));
      const out = attend(map, headRows(v, 0, h)).flatMap((row) => [...row]);
      expect(difference(out, headValues(`expect.${name}`, h)).maxAbsolute).toBeLessThan(1e-10);
    }
  });
});

describe("sourcedAttention", () => {
  const [tokens, channels, heads] = [5, 8, 2];
  const hidden = embeddings(tokens, channels, 1, 1);
  const [wq, wk, wv] = [2, 3, 4].map((seed) => embeddings(8, channels, seed, 0.5).data) as [
    ArrayLike<number>,
    ArrayLike<number>,
    ArrayLike<number>,
  ];
  const weights = { wq, wk, wv, heads };

  it("is plain attention where the source is the input", () => {
    const out = sourcedAttention({ hidden, states: hidden, ...weights });
    const project = (weight: ArrayLike<number>) => ({
      data: Array.from({ length: tokens * 8 }, (_, index) => {
        const [t, o] = [Math.floor(index / 8), index % 8];
        return Array.from({ length: channels }, (_, c) => c).reduce(
          (sum, c) => sum + hidden.data[t * channels + c]! * weight[o * channels + c]!,
          0,
        );
      }),
      shape: [1, tokens, heads, 4] as const,
    });
    const plain = { q: project(wq), k: project(wk), causal: true };
    const values = headRows(project(wv), 0, 1);
    const expected = attend(attentionMap(plain, 0, 1), values);
    const ofHead = headRows({ data: out, shape: [1, tokens, heads, 4] }, 0, 1);
    for (const [t, row] of expected.entries())
      expect(difference(ofHead[t]!, row).maxAbsolute).toBeLessThan(1e-12);
  });

  it("takes patterns from the source and values from the input", () => {
    const states = embeddings(9, channels, 7);
    expect(embeddings(9, channels, 7)).toEqual(states);
    const out = sourcedAttention({ hidden, states, ...weights });
    const doubled = { ...hidden, data: Array.from(hidden.data, (x) => 2 * x) };
    const twice = sourcedAttention({ hidden: doubled, states, ...weights });
    expect(
      difference(
        twice,
        out.map((x) => 2 * x),
      ).maxAbsolute,
    ).toBeLessThan(1e-12);
    // The same pattern for every batch entry, and of a longer source the beginning.
    const two = {
      data: [...Array.from(hidden.data), ...doubled.data],
      shape: [2, tokens, 1, channels] as const,
    };
    const both = sourcedAttention({ hidden: two, states, ...weights });
    expect(both.subarray(0, out.length)).toEqual(out);
    expect(difference(both.subarray(out.length), twice).maxAbsolute).toBeLessThan(1e-12);
  });
});
