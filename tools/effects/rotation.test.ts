import { expect, test } from "vitest";
import { difference } from "../../test/support/compare.js";
import { rotated } from "./rotation.js";

test("a channel turns with the one half a head further, by its token's position; others stay", () => {
  // Two tokens of one head of 5 channels, 4 of which turn.
  const rows = Float32Array.of(1, 2, 3, 4, 5, 1, 2, 3, 4, 5);
  const turned = rotated(
    rows,
    { heads: 1, headDim: 5, dim: 4 },
    { frequencies: Float64Array.of(Math.PI / 2, Math.PI) },
  );
  const expected = [1, 2, 3, 4, 5, -3, -2, 1, -4, 5];
  expect(difference(turned, expected).maxRelative).toBeLessThan(1e-6);
});

test("heads of one token stand at one position", () => {
  const rows = Float32Array.of(1, 0, 1, 0, 1, 0, 1, 0);
  const turned = rotated(
    rows,
    { heads: 2, headDim: 2, dim: 2 },
    { frequencies: Float64Array.of(Math.PI / 2) },
  );
  expect(difference(turned, [1, 0, 1, 0, 0, 1, 0, 1]).maxRelative).toBeLessThan(1e-6);
});
