import { expect, it } from "vitest";
import { attentionFlops, benchProblem, groupRows, rowName } from "./suite.js";

it("counts the operations of full attention", () => {
  expect(attentionFlops(benchProblem("", { tokensQ: 3, tokensK: 5, heads: 2 }))).toBe(2 * 15 * 4 * 64);
});

it("counts only the pairs that causality leaves, aligned at the end", () => {
  const flops = (tokensQ: number, tokensK: number) =>
    attentionFlops(benchProblem("", { tokensQ, tokensK, heads: 1 }, { causal: true }));
  expect(flops(4, 4)).toBe((1 + 2 + 3 + 4) * 4 * 64);
  expect(flops(2, 5)).toBe((4 + 5) * 4 * 64);
  expect(flops(5, 2)).toBe((1 + 2) * 4 * 64);
});

it("groups the rows of a suite that differ in their options only", () => {
  const row = (suite: string, name: string, tokensK: number, causal = false) => ({
    suite,
    problem: benchProblem(name, { tokensQ: 4, tokensK }, { causal }),
  });
  const rows = [row("a", "1", 4), row("a", "2", 8), row("a", "3", 4, true), row("b", "4", 4)];
  expect(groupRows(rows).map((group) => group.map(rowName))).toEqual([["a 1", "a 3"], ["a 2"], ["b 4"]]);
});
