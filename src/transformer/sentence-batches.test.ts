import { expect, test } from "vitest";
import { batchByLength } from "./sentence-batches.js";

test("sorts by length, pads to multiples of 16 and splits the rest into powers of two", () => {
  const lengths = [128, 3, 40, 0, 16, 17, 5];
  expect(batchByLength(lengths, 4)).toEqual([
    { indices: [3, 1, 6, 4], tokens: 16 },
    { indices: [5, 2], tokens: 48 },
    { indices: [0], tokens: 128 },
  ]);
});

test("no sentences make no batches, and an empty one makes one", () => {
  expect(batchByLength([], 8)).toEqual([]);
  expect(batchByLength([0], 8)).toEqual([{ indices: [0], tokens: 16 }]);
});

test("every sentence occurs once", () => {
  const lengths = Array.from({ length: 101 }, (_, n) => (n * 37) % 129);
  for (const batchSize of [1, 3, 8, 64]) {
    const batches = batchByLength(lengths, batchSize);
    const indices = batches.flatMap((batch) => batch.indices);
    expect([...indices].sort((a, b) => a - b)).toEqual(lengths.map((_, n) => n));
    for (const batch of batches) {
      for (const index of batch.indices) expect(lengths[index]).toBeLessThanOrEqual(batch.tokens);
    }
  }
});
