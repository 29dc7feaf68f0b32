import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { attend, attentionMap } from "./attention-map.js";
import { headRows } from "./dense-tensor.js";
import { giftEnhancement, giftOperation, giftSaliency } from "./gift.js";
import { golden } from "./golden-case.js";
import { intervene } from "./intervene.js";

// The golden file's float64 values are of inputs that were rounded to float32 in the file: saliency differs by 1.9e-8, ln r by 9e-9, and
// the bias by alpha = 5 times the former, 9.3e-8.
const TOLERANCE = 2e-7;
/** Of what the authors' code makes in float32: 4.8e-7. */
const TOLERANCE_F32 = 1e-6;

describe("GIFT", () => {
  const { params, tensor, tokensFirst } = golden<{
    H: number;
    N: number;
    alpha: number;
    content_offsets: number[];
    query: [number, number];
    vision: [number, number];
  }>("gift");
  // Both ends are included in the file.
  const range = ([first, last]: readonly [number, number]) => [first, last + 1] as const;
  const regions = { image: range(params.vision), question: range(params.query) };
  const inputs = { q: tokensFirst("input.q"), k: tokensFirst("input.k"), causal: true };
  const v = tokensFirst("input.v");
  const maps = Array.from({ length: params.H }, (_, h) => attentionMap(inputs, 0, h));
  const contentRows = params.content_offsets.map((offset) => regions.question[0] + offset);

  it("finds where the gaze shifts to", () => {
    const { saliency, heads } = giftSaliency(maps, regions, contentRows);
    expect(heads).toEqual(Array.from(tensor("expect.saliency_heads")).sort((a, b) => a - b));
    expect(difference(saliency, tensor("expect.saliency64")).maxAbsolute).toBeLessThan(TOLERANCE);
  });

  it("enhances the last row by a bias on its scores", () => {
    const { saliency } = giftSaliency(maps, regions, contentRows);
    const enhancement = giftEnhancement(maps, regions, saliency, params.alpha);
    expect(enhancement.imageHeads).toEqual(Array.from(tensor("expect.vision_heads")).sort((a, b) => a - b));
    expect(enhancement.questionHeads).toEqual(Array.from(tensor("expect.query_heads")).sort((a, b) => a - b));
    expect(Math.exp(enhancement.questionBias) / tensor("expect.ratio64")[0]!).toBeCloseTo(1, 7);
    for (let h = 0; h < params.H; h++) {
      const operation = giftOperation(enhancement, regions, h, params.N);
      const after = intervene(inputs, 0, h, operation ? [operation] : []);
      const expected = (name: string, width: number) =>
        Array.from(tensor(name)).slice(h * width, (h + 1) * width);
      const bias = operation?.keys ?? new Float64Array(params.N);
      expect(difference(bias, expected("expect.bias64", params.N)).maxAbsolute).toBeLessThan(TOLERANCE);
      const row = after.weights.subarray(-params.N);
      expect(difference(row, expected("expect.last_row64", params.N)).maxAbsolute).toBeLessThan(TOLERANCE);
      const out = attend(after, headRows(v, 0, h)).at(-1)!;
      expect(difference(out, expected("expect.out_last", 16)).maxAbsolute).toBeLessThan(TOLERANCE_F32);
      // Other rows stay.
      expect(after.weights.subarray(0, -params.N)).toEqual(maps[h]!.weights.subarray(0, -params.N));
    }
  });

  it("changes nothing at alpha = 0", () => {
    const { saliency } = giftSaliency(maps, regions, contentRows);
    const enhancement = giftEnhancement(maps, regions, saliency, 0);
    for (let h = 0; h < params.H; h++)
      expect(giftOperation(enhancement, regions, h, params.N)).toBeUndefined();
  });
});
