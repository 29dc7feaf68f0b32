import { expect, test } from "vitest";
import { diffusionAgents } from "./diffusion.js";

test("the training-free form has the authors' defaults", () => {
  expect(diffusionAgents({ tokens: 4096, agents: 820, headDim: 64 })).toEqual({
    scale: 0.125,
    secondScale: 0.125 ** 0.3,
    shortcut: 0.075,
  });
  const plain = { secondScaleExponent: 1, shortcut: 0 };
  expect(diffusionAgents({ tokens: 63, agents: 16, headDim: 64 }, plain)).toEqual({
    scale: 0.125,
    secondScale: 0.125,
    shortcut: 0,
  });
});

test("it is not worth its agents from half as many agents as tokens on", () => {
  expect(diffusionAgents({ tokens: 64, agents: 31, headDim: 8 })).toBeDefined();
  expect(diffusionAgents({ tokens: 64, agents: 32, headDim: 8 })).toBeUndefined();
});

test("what is no size is refused", () => {
  expect(() => diffusionAgents({ tokens: 0, agents: 1, headDim: 8 })).toThrow(/tokens.*at least 1/);
  expect(() => diffusionAgents({ tokens: 9, agents: 1, headDim: 8 }, { shortcut: Number.NaN })).toThrow(
    /shortcut/,
  );
});
