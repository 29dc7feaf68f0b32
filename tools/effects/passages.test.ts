import { expect, test } from "vitest";
import { randomSource } from "../../test/support/random.js";
import { drawn, passagesOf, surprisals } from "./passages.js";

test("what is drawn differs, and is the same for the same seed", () => {
  const first = drawn(20, 30, randomSource(1));
  expect(new Set(first).size).toBe(20);
  expect(Math.max(...first)).toBeLessThan(30);
  expect(drawn(20, 30, randomSource(1))).toEqual(first);
  expect(drawn(20, 30, randomSource(2))).not.toEqual(first);
  expect(drawn(3, 3, randomSource(1)).sort()).toEqual([0, 1, 2]);
  expect(() => drawn(4, 3, randomSource(1))).toThrow("4 of 3");
});

test("passages do not overlap, and are whole", () => {
  const ids = Array.from({ length: 107 }, (_, n) => n);
  const passages = passagesOf(ids, 10, 10, 3);
  expect(new Set(passages.flat()).size).toBe(100);
  for (const passage of passages) expect(passage.at(-1)! - passage[0]!).toBe(9);
});

test("surprisals are minus log2 of a softmax, of large logits too", () => {
  const logits = Float32Array.of(0, 0, 0, 0, 1000 + Math.log(3), 1000, 0, 0);
  const [even, likely] = surprisals(logits, [2, 0]);
  expect(even).toBeCloseTo(2, 6);
  expect(likely).toBeCloseTo(Math.log2(4 / 3), 3);
});
