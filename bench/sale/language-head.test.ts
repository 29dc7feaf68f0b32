import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { readWeights, rotated, windowOf } from "./language-head.js";

/** What PyTorch computes of a few tokens. */
const { tensors } = readSafetensors(readFileSync("test/fixtures/lm-softmax.safetensors"));
const ids = Array.from(tensors.get("ids")!.data as Int32Array);
const [TOKENS, DIM, ROW] = [ids.length, 24, 384];

it.each([
  ["layers.3.q", 8, 0, true],
  ["layers.3.k", 4, 192, true],
  ["layers.3.v", 4, 288, false],
] as const)("has the model's %s", (name, heads, first, turned) => {
  const rows = windowOf(readWeights("."), ids, 3);
  const actual = Array.from({ length: heads * TOKENS }, (_, index) => {
    const [head, t] = [Math.floor(index / TOKENS), index % TOKENS];
    const row = rows.subarray(t * ROW + first + head * DIM, t * ROW + first + (head + 1) * DIM);
    return [...(turned ? rotated(row, t) : row)];
  });
  const expected = tensors.get(name)!.data as Float32Array;
  expect(difference(actual.flat(), expected).maxRelative).toBeLessThan(1e-5);
});
