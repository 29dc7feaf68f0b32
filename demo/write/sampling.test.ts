import { describe, expect, it } from "vitest";
import { INITIAL_SAMPLING, samplingOf } from "./sampling.js";

describe("sampling of the page", () => {
  it("leaves out what is empty", () => {
    expect(samplingOf(INITIAL_SAMPLING)).toEqual({ temperature: 0.8, topP: 0.95, seed: 1 });
    expect(samplingOf({ ...INITIAL_SAMPLING, temperature: " 0 ", topK: "40", topP: "" })).toEqual({
      ...{ temperature: 0, topK: 40, seed: 1 },
    });
  });

  it("lets the library refuse what is no number", () => {
    expect(samplingOf({ topK: "many" }).topK).toBeNaN();
  });
});
