import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { gazeEnhancement, gazeSaliency } from "./gaze-shift.js";

describe("gazeSaliency", () => {
  it("takes the half of the heads that moves most, and scales to [0, 1]", () => {
    const { saliency, heads } = gazeSaliency([0, 0, 9, 1, 2, 3, 4, 6, 2, 0, 0, 0], 4, 2);
    expect(heads).toEqual([0, 2]);
    // Means of [0, 0, 9] and [4, 6, 2] over two words: [1, 1.5, 2.75].
    expect(difference(saliency, [0, 0.5 / 1.75, 1]).maxAbsolute).toBeLessThan(1e-12);
  });

  it("clamps what lies beyond three standard deviations", () => {
    const shifts = Array.from({ length: 100 }, (_, j) => (j === 0 ? 1000 : j % 2));
    const { saliency } = gazeSaliency(shifts, 1, 1);
    const mean = shifts.reduce((a, b) => a + b) / 100;
    const deviation = Math.sqrt(shifts.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 99);
    expect(saliency[0]).toBe(1);
    expect(saliency[1]).toBeCloseTo(1 / (mean + 3 * deviation), 12);
  });

  it("is zero where nothing stands out", () => {
    expect([...gazeSaliency([2, 2, 2, 2], 2, 1).saliency]).toEqual([0, 0]);
    expect([...gazeSaliency([2], 1, 1).saliency]).toEqual([0]);
  });

  it.each([
    [[1, 2], 2, 0],
    [[1, 2, 3], 2, 1],
    [[1, Number.NaN], 1, 1],
    [[], 1, 1],
  ])("refuses what does not fit: %j, %d heads, %d words", (shifts, heads, words) => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => gazeSaliency(shifts, heads, words)).toThrow(shape);
  });
});

describe("gazeEnhancement", () => {
  const inputs = {
    saliency: [0, 0.5, 1],
    imageMass: [0.5, 0.1, 0.25],
    enhancedMass: [2, 0.3, 1],
    questionMass: [0.1, 0.7, 0.3],
  };

  it("keeps the question in proportion to the image", () => {
    const { imageBias, imageHeads, questionBias, questionHeads } = gazeEnhancement(inputs, { alpha: 4 });
    expect([...imageBias]).toEqual([0, 2, 4]);
    expect(imageHeads).toEqual([0]);
    expect(questionHeads).toEqual([1]);
    expect(questionBias).toBeCloseTo(Math.log(4), 12);
  });

  it("changes nothing at alpha = 0, or without weight on the image", () => {
    const none = gazeEnhancement({ ...inputs, enhancedMass: inputs.imageMass }, { alpha: 0 });
    expect([...none.imageBias]).toEqual([0, 0, 0]);
    expect(none.questionBias).toBe(0);
    const blind = gazeEnhancement({ ...inputs, imageMass: [0, 0, 0], enhancedMass: [0, 0, 0] });
    expect(blind.questionBias).toBe(0);
  });

  it("refuses what does not fit", () => {
    const code = (name: string) => expect.objectContaining({ code: name });
    expect(() => gazeEnhancement({ ...inputs, questionMass: [1] })).toThrow(code("shape"));
    expect(() => gazeEnhancement(inputs, { alpha: -1 })).toThrow(code("shape"));
    expect(() => gazeEnhancement(inputs, { beta: 1 } as object)).toThrow(code("unsupported"));
  });
});
