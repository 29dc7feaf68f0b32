import { describe, expect, it } from "vitest";
import { labelsOf, summaryOf, verdictOf } from "./choices.js";
import { noiseOf } from "./noise.js";
import { bytesOf, rgbaOf } from "./pixels.js";

describe("noise", () => {
  it("belongs to an image by seed and place", () => {
    const few = noiseOf(7, 2, 50);
    expect(noiseOf(7, 3, 50).subarray(0, 100)).toEqual(few);
    expect(noiseOf(8, 2, 50)).not.toEqual(few);
    expect(few.subarray(0, 50)).not.toEqual(few.subarray(50));
  });

  it("is normal, between images as well", () => {
    const firsts = noiseOf(3, 4000, 1);
    const mean = firsts.reduce((sum, value) => sum + value, 0) / 4000;
    const variance = firsts.reduce((sum, value) => sum + value ** 2, 0) / 4000 - mean ** 2;
    // Five standard errors.
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(4000));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / 4000));
  });
});

describe("pixels", () => {
  it("are bytes as the model's own scale has them, cut where it goes beyond", () => {
    const scale = { size: 1, channels: 2, rescale: 1 / 255, mean: [0.5, 0], std: [0.5, 1] };
    expect([...bytesOf(Float32Array.of(-1, 0.2, 0, 1, 9, -9), scale)]).toEqual([0, 51, 128, 255, 255, 0]);
  });

  it("are grey or coloured on a canvas", () => {
    expect([...rgbaOf(Uint8ClampedArray.of(1, 2), 1)]).toEqual([1, 1, 1, 255, 2, 2, 2, 255]);
    expect([...rgbaOf(Uint8ClampedArray.of(1, 2, 3), 3)]).toEqual([1, 2, 3, 255]);
  });
});

describe("classes", () => {
  it("are one after another, one, or none", () => {
    expect(labelsOf("each", 4, 3)).toEqual([0, 1, 2, 0]);
    expect(labelsOf("2", 2, 3)).toEqual([2, 2]);
    expect(labelsOf("none", 2, 3)).toEqual([null, null]);
    expect(labelsOf("7", 2, 3)).toEqual([0, 1]);
    expect(labelsOf("", 2, 3)).toEqual([0, 1]);
  });

  it("are what a classifier finds likeliest", () => {
    expect(verdictOf(Float32Array.of(0, Math.log(3), -1000))).toEqual({
      ...{ label: 1, confidence: expect.closeTo(0.75, 6) },
    });
  });

  it("are counted where they were asked for", () => {
    const verdicts = [
      { label: 1, confidence: 0.9 },
      { label: 2, confidence: 0.5 },
    ];
    expect(summaryOf([1, 1], verdicts)).toBe(
      "1 of 2 recognised as what was asked for. The classifier is 70 % sure on average.",
    );
    expect(summaryOf([null, null], verdicts)).toBe("The classifier is 70 % sure on average.");
  });
});
