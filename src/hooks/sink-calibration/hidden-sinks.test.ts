import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { golden } from "../reference/golden-case.js";
import { hiddenSinkScores, hiddenSinks } from "./hidden-sinks.js";

describe("hiddenSinks", () => {
  const { tensor, params } = golden<{ D: number; sink_dims: number[]; tau: number }>("var_prefill_author");
  const options = { dims: params.sink_dims, tau: params.tau };

  it("finds what the authors' code finds", () => {
    const hidden = tensor("input.hidden");
    const phi = hiddenSinkScores(hidden, params.D, options);
    expect(difference(phi, tensor("expect.phi64")).maxRelative).toBeLessThan(1e-12);
    const sinks = Array.from(tensor("expect.sinks")).sort((a, b) => a - b);
    expect(hiddenSinks(hidden, params.D, options)).toEqual(sinks);
  });

  it("excludes the threshold itself", () => {
    const hidden = [0, 4, 0, 0];
    const tau = hiddenSinkScores(hidden, 4, { dims: [1], epsilon: 0 })[0]!;
    expect(tau).toBe(2);
    expect(hiddenSinks(hidden, 4, { dims: [1], epsilon: 0, tau })).toEqual([]);
    expect(hiddenSinks(hidden, 4, { dims: [1], epsilon: 0, tau: 1.99 })).toEqual([0]);
    expect(hiddenSinks(hidden, 4, { dims: [2], tau: 0 })).toEqual([]);
  });

  it.each([
    [[1, 2, 3], 2, { dims: [0] }],
    [[1, 2], 2, { dims: [2] }],
    [[1, 2], 2, { dims: [] }],
    [[1, 2], 2, { dims: [0], tau: -1 }],
  ])("refuses what does not fit: %j", (hidden, channels, given) => {
    expect(() => hiddenSinks(hidden, channels, given)).toThrow(expect.objectContaining({ code: "shape" }));
  });
});
