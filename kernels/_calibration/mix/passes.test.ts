import { describe, expect, it } from "vitest";
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { factsPass } from "./passes.js";
import { checkMix } from "./problem.js";
import type { PatternStep } from "./types.js";

const gpu = minimumCapabilities();
const llvmpipe: Capabilities = {
  ...gpu,
  software: true,
  adapter: { ...gpu.adapter, architecture: "llvmpipe" },
};
const argmax: PatternStep = { kind: "mix", target: "argmax", u: 0.5 };

/** Ranges of keys that the dispatches have which look for the best ones. */
function ranges(step: PatternStep, tokensK: number, headDim: number, capabilities = gpu, budget = 1e12) {
  const layout = (tokens: number) => ({ dtype: "f32", shape: [1, tokens, 1, headDim] }) as const;
  const problem = { q: layout(2), k: layout(tokensK), v: layout(tokensK), heads: new Map([[0, step]]) };
  const mix = checkMix(problem, capabilities);
  const facts = {} as GPUBuffer;
  const passes = factsPass(mix, mix.softmax, { facts }, { capabilities, maxDispatchFlops: budget });
  return passes.map(({ uniforms }) => uniforms.walk as { begin: number; end: number });
}

describe("a walk over the keys", () => {
  it("is one dispatch where it may be", () => {
    expect(ranges(argmax, 100_000, 64)).toEqual([{ begin: 0, end: 100_000 }]);
    expect(ranges({ ...argmax, target: "identity" }, 100_000, 64, llvmpipe)).toHaveLength(1);
  });

  it("is cut where a workgroup would take too long", () => {
    // 64 threads, 176 operations a key.
    const found = ranges(argmax, 1000, 64, gpu, 64 * 176 * 300);
    expect(found).toEqual([
      { begin: 0, end: 300 },
      { begin: 300, end: 600 },
      { begin: 600, end: 900 },
      { begin: 900, end: 1000 },
    ]);
    expect(ranges(argmax, 1000, 64, gpu, 1)[0]).toEqual({ begin: 0, end: 64 });
  });

  it("is cut where llvmpipe would end its loops", () => {
    expect(ranges(argmax, 100_000, 64, llvmpipe)).toEqual([
      { begin: 0, end: 65_535 },
      { begin: 65_535, end: 100_000 },
    ]);
    // Loops over many channels are not unrolled: 64 rounds more for each key, and 128 before.
    const wide = ranges(argmax, 2000, 256, llvmpipe);
    expect(wide[0]).toEqual({ begin: 0, end: Math.floor((65_535 - 128) / 65) });
    expect(wide.at(-1)!.end).toBe(2000);
  });
});
