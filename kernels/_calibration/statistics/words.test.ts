import { expect, test } from "vitest";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { checkStatistics } from "./problem.js";
import { statisticsTables, wordPlaces } from "./words.js";

test("lists keys of long contexts behind the words of attention", () => {
  const tokens = 2 ** 17;
  const [q, k] = [1, tokens].map((count) => ({ dtype: "f32" as const, shape: [1, count, 1, 4] as const }));
  const mass = Array.from({ length: 32 }, (_, set) => ({ keys: [set, tokens - 1] }));
  const shape = checkStatistics(
    { q: q!, k: k!, lse: true, statistics: { mass, diagonals: [-1, 2] } },
    minimumCapabilities(),
  );
  const { values } = statisticsTables(shape, {}).terms!;
  const { heads, sets, diagonals } = wordPlaces(shape);
  const words = tokens / 32;
  expect(values[heads]).toBe(0);
  for (let set = 0; set < 32; set++) {
    const own = values.subarray(sets + set * words, sets + (set + 1) * words);
    expect([own[0], own.at(-1)]).toEqual([(1 << set) >>> 0, 2 ** 31]);
    expect(own.filter((word) => word !== 0)).toHaveLength(2);
  }
  expect([...values.subarray(diagonals)]).toEqual([2 ** 32 - 1, 2]);
});
